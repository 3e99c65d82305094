"""The generator of Emojiland and the training of its model and dictionaries."""
