"""Sets of pictures with their labels, however they lie on disk; read lazily, through fsspec."""
