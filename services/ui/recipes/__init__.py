"""The recipes of a team on the page: saved, compared, joined, proven, handed on."""
