"""Recipes: kept, compared, joined, fitted, applied to a plain model, made permanent."""
