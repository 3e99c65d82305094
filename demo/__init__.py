"""Emojiland: a small world with known shortcuts, to see the workflow on."""
