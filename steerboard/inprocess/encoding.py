"""From activations at a site to the sparse codes of pictures, on all cores."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from steerboard.dictionary.sae import Sae
from steerboard.inprocess.crew import hands
from steerboard.spec.answers import Code, Floats, Ints

# Tokens that are encoded at once: with fewer the encoder is read too often, with more what comes of
# them leaves the core's cache.
PIECE = 256


def encoded(sae: Sae, x: Tensor, alive: Tensor) -> list[Code]:
    """The codes of pictures ``x [n, t, d]``, of their tokens that are ``alive [t]``.

    Some pictures at a time, by each core alone: nobody waits for anybody.
    """
    own, where = x[:, alive], np.flatnonzero(alive.cpu().numpy())
    pieces = own.split(max(1, PIECE // max(1, len(where))))
    if x.device.type != "cpu" or len(pieces) < 2 or torch.get_num_threads() < 2:
        found = [_piece(sae, piece) for piece in pieces]
    else:
        pool = hands(torch.get_num_threads())
        futures = [pool.submit(_piece, sae, piece) for piece in pieces]
        found = [future.result() for future in futures]
    shape = x.shape[1], sae.size
    return [replace(c, shape=shape, tokens=where[c.tokens]) for part in found for c in part]


@torch.inference_mode()
def _piece(sae: Sae, x: Tensor) -> list[Code]:
    """Codes of ``x [n, t, d]``."""
    if sae.lists and x.device.type == "cpu":
        pairs = zip(*sae.kept(x), strict=True)
        return [listed(values.numpy(), which.numpy(), sae.size) for values, which in pairs]
    return [sparse(code) for code in sae.encode(x)]


def listed(values: Floats, which: Ints, size: int) -> Code:
    """What of ``values [t, k]`` of the features ``which [t, k]`` is not zero."""
    there = values != 0
    tokens = np.repeat(np.arange(len(values)), there.sum(1))
    return Code((len(values), size), tokens, which[there], values[there])


def sparse(code: Tensor) -> Code:
    """A dense code ``[t, f]``, wherever it lies, as the list of what is not zero."""
    flat, shape = code.flatten(), (code.shape[0], code.shape[1])
    if code.device.type == "cpu":  # numpy looks through truth values in a tenth of torch's time
        places = np.flatnonzero(flat.numpy() != 0)
        values = flat.numpy()[places]
    else:
        there = flat.nonzero()[:, 0]
        places, values = there.cpu().numpy(), flat[there].cpu().numpy()
    return Code(shape, *np.divmod(places, shape[1]), values)
