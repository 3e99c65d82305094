"""Dictionaries as other projects save them, read into our own form.

One file a format; ``recognise`` finds the one that fits, ``unpickle`` keeps strangers' code from
running, ``folding`` puts into tensors what others do around them. ``read`` is the door.
"""

from steerboard.dictionary.formats.door import convert, own_file, read
from steerboard.dictionary.formats.opened import Hints

__all__ = ["Hints", "convert", "own_file", "read"]
