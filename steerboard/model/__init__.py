"""open_clip models: loading, sites, edits, and the float64 reference of the edit algebra."""
