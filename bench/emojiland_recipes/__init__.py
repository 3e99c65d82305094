"""Recipes for Emojiland's planted faults: fitted, chosen, reported on new scenes, and baked."""
