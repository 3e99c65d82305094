"""The engine: rows of several callers become one batch."""
