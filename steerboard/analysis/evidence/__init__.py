"""Does the fix hold, and what does it break? Over any Runner (methods, section 5)."""
