"""From image references to rows: decoding once, remembering by digest, for each tenant apart."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

import torch
from torch import Tensor

from steerboard.inprocess.kernel import Row
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.rows import not_held
from steerboard.inprocess.served import ServedModel
from steerboard.spec.errors import SteerboardError
from steerboard.spec.requests import Digest, Encoded, ImageRef
from steerboard.spec.tensor import Tensor as Numbers

BYTES_KEPT = 256 * 2**20
PIXELS_KEPT = 512 * 2**20
NOTHING = torch.empty(0)


class Pictures:
    """The bytes of pictures seen lately, and what each model reads of them.

    A digest answers only for the tenant that sent the bytes. Pictures are decoded in a few threads
    of their own, as many as there are cores, however many calls are in hand.

    Args:
        tenant: Whose pictures the call in hand may see.
        check: Raises where nobody waits for the call in hand any more.
        kept: Of which pictures (model's fingerprint, names) something is kept, so that their
            pixels may never be asked for; they are then decoded when they are.
    """

    def __init__(
        self,
        tenant: Callable[[], str] = lambda: "",
        check: Callable[[], None] = lambda: None,
        kept: Callable[[str, Sequence[str]], frozenset[str]] = lambda _model, _names: frozenset(),
    ) -> None:
        self._bytes: ByteLru[bytes] = ByteLru(BYTES_KEPT)
        self._pixels: ByteLru[Tensor] = ByteLru(PIXELS_KEPT)
        self._tenant = tenant
        self._check = check
        self._kept = kept
        self._decoders = ThreadPoolExecutor(os.cpu_count() or 1, "decode")

    def forget(self) -> None:
        """Drop all pictures, as when there is no more room for them."""
        self._bytes.clear()
        self._pixels.clear()

    def close(self) -> None:
        """End the threads."""
        self._decoders.shutdown()

    def rows(self, served: ServedModel, images: Sequence[ImageRef]) -> list[Row | SteerboardError]:
        """One row an image, or that image's own error.

        Raises:
            ImageNotCached: Some digests are unknown; all of them are listed. Of a picture of which
                something is kept only where that turns out not to suffice.
        """
        tenant = self._tenant()
        held: dict[str, bytes | None] = {}
        for image in images:
            if isinstance(image, Encoded):
                held[image.sha256] = image.data
                self._bytes.put((tenant, image.sha256), image.data, len(image.data))
            elif isinstance(image, Digest) and image.sha256 not in held:
                held[image.sha256] = self._bytes.get((tenant, image.sha256))
        names = [f"{tenant}/{sha256}" for sha256 in held]
        kept = self._kept(served.info.fingerprint, names)
        lacking = [sha256 for sha256, data in held.items() if data is None]
        missing = [sha256 for sha256 in lacking if f"{tenant}/{sha256}" not in kept]
        if missing:
            raise not_held(missing)
        # What this request needs is kept here: the LRU may drop it again before it is decoded.
        found = {sha256: data for sha256, data in held.items() if data is not None}
        return self._rows(served, images, found, tenant, kept)

    def at_hand(self, served: ServedModel, images: Sequence[ImageRef]) -> bool:
        """Whether nothing of these pictures must be decoded."""
        tenant = self._tenant()
        return not any(self._must_decode(served, i, tenant, frozenset()) for i in images)

    def _rows(
        self,
        served: ServedModel,
        images: Sequence[ImageRef],
        held: dict[str, bytes],
        tenant: str,
        kept: frozenset[str],
    ) -> list[Row | SteerboardError]:
        """One row an image; those that must be decoded side by side, the others at once."""
        asked = [
            self._decoders.submit(
                copy_context().run, partial(self._row, served, image, i, held, tenant, kept)
            )
            if self._must_decode(served, image, tenant, kept)
            else self._row(served, image, i, held, tenant, kept)
            for i, image in enumerate(images)
        ]
        return [row.result() if isinstance(row, Future) else row for row in asked]

    def _must_decode(
        self, served: ServedModel, image: ImageRef, tenant: str, kept: frozenset[str]
    ) -> bool:
        if not isinstance(image, Encoded | Digest):
            return False
        model, name = served.info.fingerprint, f"{tenant}/{image.sha256}"
        return self._pixels.get((model, name)) is None and name not in kept

    def _row(
        self,
        served: ServedModel,
        image: ImageRef,
        index: int,
        held: dict[str, bytes],
        tenant: str,
        kept: frozenset[str],
    ) -> Row | SteerboardError:
        self._check()
        try:
            if isinstance(image, Encoded | Digest):
                name = f"{tenant}/{image.sha256}"
                data = held.get(image.sha256)
                if data is None or name in kept:
                    return Row(name, NOTHING, draw=partial(self._late, served, name, data, index))
                return Row(name, self._decoded(served, name, data, index))
            pixels = served.loaded.check_pixels(image.tensor.numpy())
            return Row(f"{tenant}/{tensor_digest(image.tensor)}", pixels)
        except SteerboardError as error:
            error.field = f"images[{index}]"
            return error

    def _late(self, served: ServedModel, name: str, data: bytes | None, index: int) -> Tensor:
        """The pixels after all; raises ImageNotCached where there are no bytes."""
        if data is None:
            raise not_held([name.rpartition("/")[2]])
        return self._decoded(served, name, data, index)

    def _decoded(self, served: ServedModel, name: str, data: bytes, index: int) -> Tensor:
        key = (served.info.fingerprint, name)
        pixels = self._pixels.get(key)
        if pixels is None:
            pixels = served.loaded.pixels(data, f"picture {index + 1}")
            self._pixels.put(key, pixels, pixels.numel() * pixels.element_size())
        return pixels


def tensor_digest(tensor: Numbers) -> str:
    """Hex SHA-256 of format, shape and numbers; no picture file has the same."""
    head = f"pixels {tensor.dtype} {tensor.shape} ".encode()
    found = hashlib.sha256(head)
    found.update(tensor.data)
    return found.hexdigest()
