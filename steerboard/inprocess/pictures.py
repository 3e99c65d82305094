"""From image references to rows: decoding once, remembering by digest."""

from collections.abc import Sequence

from torch import Tensor

from steerboard.inprocess.kernel import Row
from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.served import ServedModel
from steerboard.spec.digest import digest
from steerboard.spec.errors import ImageNotCached, SteerboardError
from steerboard.spec.requests import Digest, Encoded, ImageRef

BYTES_KEPT = 256 * 2**20
PIXELS_KEPT = 512 * 2**20


class Pictures:
    """The bytes of pictures seen lately, and what each model reads of them."""

    def __init__(self) -> None:
        self._bytes: ByteLru[bytes] = ByteLru(BYTES_KEPT)
        self._pixels: ByteLru[Tensor] = ByteLru(PIXELS_KEPT)

    def rows(self, served: ServedModel, images: Sequence[ImageRef]) -> list[Row | SteerboardError]:
        """One row an image, or that image's own error.

        Raises:
            ImageNotCached: Some digests are unknown; all of them are listed.
        """
        held: dict[str, bytes | None] = {}
        for image in images:
            if isinstance(image, Encoded):
                held[image.sha256] = image.data
                self._bytes.put(image.sha256, image.data, len(image.data))
            elif isinstance(image, Digest) and image.sha256 not in held:
                held[image.sha256] = self._bytes.get(image.sha256)
        missing = [sha256 for sha256, data in held.items() if data is None]
        if missing:
            raise ImageNotCached(
                f"{len(missing)} pictures are not held here: send their bytes",
                field="images",
                details={"digests": ",".join(missing)},
            )
        # What this request needs is kept here: the LRU may drop it again before it is decoded.
        found = {sha256: data for sha256, data in held.items() if data is not None}
        return [self._row(served, image, i, found) for i, image in enumerate(images)]

    def _row(
        self, served: ServedModel, image: ImageRef, index: int, held: dict[str, bytes]
    ) -> Row | SteerboardError:
        try:
            if isinstance(image, Encoded | Digest):
                sha256 = image.sha256
                return Row(sha256, self._decoded(served, sha256, held[sha256], index))
            pixels = served.loaded.check_pixels(image.tensor.numpy())
            return Row(digest(image), pixels)
        except SteerboardError as error:
            error.field = f"images[{index}]"
            return error

    def _decoded(self, served: ServedModel, sha256: str, data: bytes, index: int) -> Tensor:
        key = (served.info.fingerprint, sha256)
        pixels = self._pixels.get(key)
        if pixels is None:
            pixels = served.loaded.pixels(data, f"picture {index + 1}")
            self._pixels.put(key, pixels, pixels.numel() * pixels.element_size())
        return pixels
