"""Image sets, uploaded pictures and feature cards, as the door and the workers read them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from secrets import token_hex

import fsspec
import yaml
from fsspec.implementations.local import LocalFileSystem

from steerboard.api.convert_library import ImageSet
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.first_schema import FirstCatalogue
from steerboard.catalogue.folder import Folder, placed
from steerboard.catalogue.opening import open_catalogue
from steerboard.spec.catalogue import FeatureCard, ImageCard
from steerboard.spec.digest import digest, image_digest
from steerboard.spec.errors import ImageNotCached, NotFound, SteerboardError

NAMED = ("path", "split", "group", "label")


@dataclass(frozen=True)
class Collection:
    """The pictures of one set: a card each, and where its file is."""

    cards: tuple[ImageCard, ...]
    files: dict[str, Path]


def read_collection(images: Path, manifest: Path) -> Collection:
    """Read a manifest and hash every picture once."""
    cards, files = [], {}
    for line in manifest.read_text().splitlines():
        record = json.loads(line)
        path = images / record["path"]
        sha256 = image_digest(path.read_bytes())
        files[sha256] = path
        known = {k: str(record.get(k) or "") for k in NAMED}
        rest = {k: v for k, v in record.items() if k not in NAMED}
        cards.append(ImageCard(sha256=sha256, **known, attributes=rest))
    return Collection(tuple(cards), files)


class Library:
    """Everything that ``steerboard.yaml`` names beside models, and the uploads.

    Args:
        config: The steerboard.yaml.
        blobs: fsspec URL of the folder that keeps uploaded pictures by digest.
    """

    def __init__(self, config: Path, blobs: str) -> None:
        config = config / "steerboard.yaml" if config.is_dir() else config
        record = yaml.safe_load(config.read_text())
        base = config.parent
        sets = record.get("image_sets") or {}
        self._sets = {
            n: read_collection(base / c["images"], base / c["manifest"]) for n, c in sets.items()
        }
        self._catalogue = Folder(placed(base, str(record.get("catalogue") or "catalogue")))
        self._blobs, self._root = fsspec.core.url_to_fs(blobs)

    def image_sets(self) -> list[ImageSet]:
        """All sets with the splits and groups that their pictures name."""
        return [
            ImageSet(
                id=name,
                title=name,
                size=len(found.cards),
                splits=tuple(dict.fromkeys(c.split for c in found.cards if c.split)),
                groups=tuple(dict.fromkeys(c.group for c in found.cards if c.group)),
            )
            for name, found in self._sets.items()
        ]

    def images(self, name: str, split: str = "", group: str = "") -> list[ImageCard]:
        """Cards of a set; raises NotFound."""
        if name not in self._sets:
            raise NotFound(
                f"there is no image set {name!r}; there is {', '.join(self._sets) or 'none'}",
                field="image_set",
            )
        cards = self._sets[name].cards
        return [c for c in cards if split in ("", c.split) and group in ("", c.group)]

    def missing(self, digests: Iterable[str], tenant: str) -> list[str]:
        """Those pictures that are neither of a set nor among the tenant's uploads."""
        return [
            d
            for d in dict.fromkeys(digests)
            if self._file(d) is None and not self._blobs.exists(self._blob(d, tenant))
        ]

    def read(self, sha256: str, tenant: str) -> bytes:
        """The bytes of a picture; raises ImageNotCached."""
        file = self._file(sha256)
        if file is not None:
            return file.read_bytes()
        blob = self._blob(sha256, tenant)
        try:
            if isinstance(self._blobs, LocalFileSystem):  # asked for thousands of times a set
                with open(blob, "rb") as kept:
                    return kept.read()
            data: bytes = self._blobs.cat_file(blob)
        except FileNotFoundError:
            raise ImageNotCached(
                "a picture is not held here: send its bytes", details={"digests": sha256}
            ) from None
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
            blob = self._blob(sha256, tenant)
            half = f"{blob}.{token_hex(8)}"  # Another process never reads half a picture.
            self._blobs.makedirs(blob.rpartition("/")[0], exist_ok=True)
            self._blobs.pipe_file(half, data)
            self._blobs.mv(half, blob)
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
    def catalogues(self) -> Folder:
        """Where catalogues lie, a file a dictionary."""
        return self._catalogue

    def _file(self, sha256: str) -> Path | None:
        return next((c.files[sha256] for c in self._sets.values() if sha256 in c.files), None)

    def _blob(self, sha256: str, tenant: str) -> str:
        return f"{self._root}/{folder_of(tenant)}/{sha256}"


@lru_cache(maxsize=256)
def folder_of(tenant: str) -> str:
    """What the folder of a tenant's blobs is called; asked for with every picture."""
    return digest(tenant)[:16]


@lru_cache(maxsize=32)
def held_catalogue(place: str, _version: str) -> Catalogue | FirstCatalogue:
    """One reader a file, process and version of the file: a rebuilt one is read anew."""
    return open_catalogue(place)
