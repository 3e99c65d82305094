"""Image sets, uploaded pictures and feature cards, as the door and the workers read them."""

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import fsspec
import yaml
from fsspec.implementations.local import LocalFileSystem

from services.attribution.shelf import Shelf
from steerboard.api.convert_library import ImageSet
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.first_schema import FirstCatalogue
from steerboard.catalogue.folder import Folder, placed
from steerboard.catalogue.opening import open_catalogue
from steerboard.images.indexed import Index, whole
from steerboard.images.spans import Span
from steerboard.spec.catalogue import FeatureCard, ImageCard
from steerboard.spec.digest import digest, image_digest
from steerboard.spec.errors import ImageNotCached, SteerboardError

SETS = "sets"  # the folder of what is known of image sets, beside those of tenants


class Library:
    """Everything that ``steerboard.yaml`` names beside models, and the uploads.

    Args:
        config: The steerboard.yaml.
        blobs: fsspec URL of the folder that keeps uploaded pictures by digest.
        wait_s: Seconds that a caller waits for a set that is being read; None: to its end.
    """

    def __init__(self, config: Path, blobs: str, wait_s: float | None = None) -> None:
        config = config / "steerboard.yaml" if config.is_dir() else config
        record = yaml.safe_load(config.read_text())
        base = config.parent
        self._catalogue = Folder(placed(base, str(record.get("catalogue") or "catalogue")))
        self._blobs, self._root = fsspec.core.url_to_fs(blobs)
        sets = record.get("image_sets") or {}
        self._shelf = Shelf(base, sets, self._blobs, f"{self._root}/{SETS}", wait_s)

    def prepare(self, wait_s: float) -> None:
        """Begin to read the image sets, and wait so long for them."""
        self._shelf.prepare(wait_s)

    def image_sets(self) -> list[ImageSet]:
        """All sets with the splits and groups that their pictures name; last what has no picture.

        The title says how many pictures are broken, or why there are none yet.
        """
        return sorted(map(self._image_set, self._shelf.names), key=lambda s: not s.size)

    def _image_set(self, name: str) -> ImageSet:
        try:
            found = self._shelf.held(name)
        except SteerboardError as error:
            return ImageSet(id=name, title=f"{name}: {error.message}")
        return ImageSet(
            id=name,
            title=f"{name} ({found.broken} broken pictures left out)" if found.broken else name,
            size=len(found.cards),
            splits=tuple(dict.fromkeys(c.split for c in found.cards if c.split)),
            groups=tuple(dict.fromkeys(c.group for c in found.cards if c.group)),
        )

    def images(self, name: str, split: str = "", group: str = "") -> list[ImageCard]:
        """Cards of a set; raises NotFound, and Unavailable where it cannot be read yet."""
        cards = self._shelf.held(name).cards
        return [c for c in cards if split in ("", c.split) and group in ("", c.group)]

    def missing(self, digests: Iterable[str], tenant: str) -> list[str]:
        """Those pictures that are neither of a set nor among the tenant's uploads."""
        return [d for d in dict.fromkeys(digests) if not self._is_held(d, tenant)]

    def read(self, sha256: str, tenant: str) -> bytes:
        """The bytes of a picture; raises ImageNotCached."""
        found = spanned(self._shelf.ready(), sha256)
        if found is not None and (data := self._of_set(found, sha256)) is not None:
            return data
        with suppress(FileNotFoundError):
            return self._held(self._blob(sha256, tenant))
        # Of a set that is not read yet, or has changed since, if of any.
        found = spanned(self._shelf.within_reach(), sha256)
        if found is not None and (data := self._of_set(found, sha256)) is not None:
            return data
        raise ImageNotCached(
            "a picture is not held here: send its bytes", details={"digests": sha256}
        )

    def _of_set(self, at: Span, sha256: str) -> bytes | None:
        """A picture of a set; None where another one lies there now, or none."""
        try:
            data = at.read() if at.url else self._shelf.kept(sha256)
        except FileNotFoundError:
            return None
        return data if image_digest(data) == sha256 else None

    def _held(self, blob: str) -> bytes:
        if isinstance(self._blobs, LocalFileSystem):  # asked for thousands of times a set
            with open(blob, "rb") as kept:
                return kept.read()
        data: bytes = self._blobs.cat_file(blob)
        return data

    def read_all(self, digests: Iterable[str], tenant: str) -> dict[str, bytes]:
        """The bytes of pictures by digest; raises ImageNotCached, which lists all missing ones."""
        wanted = list(dict.fromkeys(digests))
        missing = self.missing(wanted, tenant)
        if missing:
            raise ImageNotCached(
                f"{len(missing)} pictures are not held here: send their bytes",
                details={"digests": ",".join(missing)},
            )
        return {d: self.read(d, tenant) for d in wanted}

    def keep(self, data: bytes, tenant: str) -> str:
        """Store an uploaded picture; its digest."""
        sha256 = image_digest(data)
        if self.missing([sha256], tenant):
            whole(self._blobs, self._blob(sha256, tenant), data)
        return sha256

    def folder(self, tenant: str, job: str) -> str:
        """Fsspec URL of a folder for the files of a tenant's job."""
        return str(self._blobs.unstrip_protocol(f"{self._root}/{folder_of(tenant)}.jobs/{job}"))

    def features(
        self, name: str, indices: Iterable[int], references: int = 16, fingerprint: str = ""
    ) -> list[FeatureCard]:
        """Cards of the features that are known; none without a catalogue.

        Args:
            name: What the catalogue is asked for by, see ``steerboard.catalogue.folder``.
            indices: Which features.
            references: Pictures of each at most.
            fingerprint: That of the dictionary; a catalogue of another one is none.
        """
        places = self.places(name)
        if len(places) != 1:
            return []
        held = held_catalogue(*places[0])
        known = held.about["dictionary_fingerprint"] if isinstance(held, Catalogue) else ""
        return held.cards(indices, references) if fingerprint in ("", known) or not known else []

    def places(self, name: str) -> list[tuple[str, str]]:
        """Place and version of the files that a name may mean; more than one: of several models."""
        folder = self._catalogue
        found = [(n, folder.version(n)) for n in folder.meant(name, self._model_of)]
        return [(folder.place(n), version) for n, version in found if version is not None]

    def _model_of(self, name: str) -> str:
        """The model of a file that is there; empty where it does not say."""
        try:
            held = held_catalogue(self._catalogue.place(name), str(self._catalogue.version(name)))
        except SteerboardError:
            return ""  # whoever opens it is told
        return str(held.about["model"]) if isinstance(held, Catalogue) else ""

    @property
    def shelf(self) -> Shelf:
        """The image sets."""
        return self._shelf

    @property
    def catalogues(self) -> Folder:
        """Where catalogues lie, a file a dictionary."""
        return self._catalogue

    def _is_held(self, sha256: str, tenant: str) -> bool:
        """Whether it is of a set or an upload; sets that are not read yet are asked last."""
        return (
            spanned(self._shelf.ready(), sha256) is not None
            or self._blobs.exists(self._blob(sha256, tenant))
            or spanned(self._shelf.within_reach(), sha256) is not None
        )

    def _blob(self, sha256: str, tenant: str) -> str:
        return f"{self._root}/{folder_of(tenant)}/{sha256}"


def spanned(sets: Iterable[Index], sha256: str) -> Span | None:
    """Where a picture of one of the sets lies."""
    return next((span for found in sets if (span := found.span(sha256)) is not None), None)


@lru_cache(maxsize=256)
def folder_of(tenant: str) -> str:
    """What the folder of a tenant's blobs is called; asked for with every picture."""
    return digest(tenant)[:16]


@lru_cache(maxsize=32)
def held_catalogue(place: str, _version: str) -> Catalogue | FirstCatalogue:
    """One reader a file, process and version of the file: a rebuilt one is read anew."""
    return open_catalogue(place)
