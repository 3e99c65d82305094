"""Concepts: named by pictures, known by features, steered from there."""
