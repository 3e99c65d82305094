"""Dictionaries (sparse autoencoders): the maths, the files, the gate."""
