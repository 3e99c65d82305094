"""The catalogues behind the door: searched, looked into, and spoken about.

A catalogue's index is read when it is first asked for, and again when its file was written anew;
pictures and maps are read group by group. Meaning and pictures are asked of the inference service;
where it is away, searching goes on by words alone.
"""

import logging
import math
import re
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from threading import Lock

import numpy as np

from services.attribution.library import Library, held_catalogue
from steerboard.analysis.responses import strongest
from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.find import Clues, Found, find, row
from steerboard.catalogue.folder import STALE
from steerboard.catalogue.index import Index
from steerboard.catalogue.labels import Vocabulary, vocabulary
from steerboard.catalogue.layout import layout
from steerboard.catalogue.observe import thumbnail
from steerboard.catalogue.records import Array
from steerboard.catalogue.table import GROUP
from steerboard.spec.answers import Code
from steerboard.spec.catalogue import (
    MAX_THUMBNAILS,
    CatalogueInfo,
    FeatureCard,
    FeatureMap,
    FeatureQuery,
    FeatureRow,
    name_of,
)
from steerboard.spec.errors import ImageNotCached, InvalidRequest, NotFound, SteerboardError
from steerboard.spec.jobs import Reference
from steerboard.spec.requests import Digest, Encode, Encoded, ImageRef
from steerboard.spec.runner import Runner

_LOG = logging.getLogger(__name__)
DIGEST = re.compile(r"[0-9a-f]{64}")
MOST_PICTURES = 16  # of a listed feature
HELD_INDEXES, HELD_TEXTS, HELD_PICTURES = 4, 256, 4096
SERVED_S = 5.0  # for which it is not asked again what is served


class Catalogues:
    """All catalogues of the folder that the configuration names.

    Args:
        library: Where they and the pictures lie.
        runner: Who answers about pictures.
        reader: Who answers about the meaning of words; by default the same.
    """

    def __init__(self, library: Library, runner: Runner, reader: Runner | None = None) -> None:
        self._library, self._runner, self._reader = library, runner, reader or runner
        self._opened = lru_cache(HELD_INDEXES)(read_index)
        self._mapped = lru_cache(HELD_INDEXES)(map_of)
        self._made = lru_cache(HELD_PICTURES)(self._make)
        self._words = lru_cache(HELD_TEXTS)(self._ask_words)
        self._served = Served(self._reader)
        self._named: set[tuple[str, str]] = set()  # files of which the log has spoken
        self._reading = Lock()  # one reader at a time: many callers wait for the same file
        self._drawing = Lock()

    def infos(self) -> list[CatalogueInfo]:
        """What there is; files that cannot be read are named in the log and left out."""
        found = (self._info(name) for name in self._library.catalogues.names())
        return [info for info in found if info is not None]

    def index(self, name: str) -> Index:
        """The index of a catalogue by dictionary, or ``DICTIONARY@MODEL``.

        Raises:
            NotFound: There is none, or there are several.
            InvalidRequest: It cannot be read, or is of another dictionary than the one served.
        """
        places = self._library.places(name)
        if len(places) > 1:
            several = " and ".join(PurePosixPath(place).stem for place, _ in places)
            raise NotFound(
                f"several models have a catalogue of dictionary {name!r}: ask for {several}",
                field="dictionary",
            )
        if not places:
            raise NotFound(
                f"there is no catalogue of dictionary {name!r} here: build one with"
                " `steerboard catalogue build`",
                field="dictionary",
            )
        index = self._read(*places[0])
        if trouble := self._trouble(PurePosixPath(places[0][0]).stem, index.info):
            raise InvalidRequest(trouble, field="dictionary")
        return index

    def features(self, name: str, features: Sequence[int]) -> list[FeatureCard]:
        """Cards of the features that are known; none without a catalogue.

        Raises:
            InvalidRequest: It is of another dictionary than the one served.
        """
        places = self._library.places(name)
        if len(places) == 1 and isinstance(held_catalogue(*places[0]), Catalogue):
            self.index(name)
        return self._library.features(name, features)

    def _read(self, place: str, version: str) -> Index:
        with self._reading:
            return self._opened(place, version)

    def _info(self, name: str) -> CatalogueInfo | None:
        """What a file is of; None where it cannot be read, which the log says once."""
        try:
            ((place, version),) = self._library.places(name)
        except ValueError:  # gone meanwhile
            return None
        try:
            info = self._read(place, version).info
        except (SteerboardError, OSError, ValueError, KeyError) as error:
            if (place, version) not in self._named:
                self._named.add((place, version))
                _LOG.warning("the catalogue %s is left out: %s", place, error)
            return None
        return info.model_copy(update={"name": name, "trouble": self._trouble(name, info)})

    def _trouble(self, name: str, info: CatalogueInfo) -> str:
        """Why a file's catalogue is not that of the dictionary by its name; empty: it is."""
        served = self._served.fingerprint(info.model, info.dictionary)
        mine = name in (info.dictionary, name_of(info.dictionary, info.model))
        if mine and (not served or not info.fingerprint or served == info.fingerprint):
            return ""
        return f"the catalogue of dictionary {name!r} {STALE}"

    def search(
        self, query: FeatureQuery, clues: Clues, start: int, stop: int, pictures: int
    ) -> tuple[list[FeatureRow], int]:
        """Some of the features that fit, and how many do."""
        index = self.index(query.dictionary)
        found = find(index, query, clues)
        rows = [row(index, int(place), found, clues) for place in found.order[start:stop]]
        return pictured(index, rows, pictures), len(found.order)

    def rows(self, index: Index, features: Array, clues: Clues, pictures: int) -> list[FeatureRow]:
        """Features of a catalogue by their numbers, as they are listed."""
        places, _ = index.place(features)
        known = Found(places, None, index.detection, None)
        rows = [row(index, int(place), known, clues) for place in places]
        return pictured(index, rows, pictures)

    def meaning(self, query: FeatureQuery) -> Array | None:
        """``[n]`` how near each feature's pictures are to words; None without words.

        Raises:
            SteerboardError: The inference service does not answer.
        """
        words = query.words.strip()
        if not words:
            return None
        index = self.index(query.dictionary)
        about = index.catalogue.about
        known = self._words(str(about["model"]), str(about["template"]), words)
        if index.units.shape[1] != known.texts.shape[1]:
            return None
        return index.meaning(known)[:, 0]

    def activations(self, query: FeatureQuery, tenant: str) -> Array | None:
        """``[n]`` responses of features to the picture asked about; None without one."""
        if query.image is None:
            return None
        index = self.index(query.dictionary)
        (code,) = self._codes(index, (self._sent(query.image, tenant),))
        if isinstance(code, SteerboardError):
            raise code
        features, values = strongest(code)
        at, there = index.place(features)
        out = np.zeros(len(index))
        out[at[there]] = values[there]
        return out

    def map(self, dictionary: str) -> FeatureMap:
        """All features as points."""
        index = self.index(dictionary)
        with self._drawing:
            return self._mapped(index)

    def warm(self) -> None:
        """Read all that there are, and lay out their maps, so that the first visitor waits less."""
        for info in self.infos():
            try:
                index = self.index(info.name)
                index.warm()
                look_through(index)
                self.map(info.name)
            except (SteerboardError, OSError) as error:
                _LOG.warning("catalogue %s: %s", info.name, error)

    def thumbnails(self, dictionary: str, digests: Sequence[str], tenant: str) -> dict[str, bytes]:
        """Small pictures by digest, made here where the catalogue has none of an image set's.

        Raises:
            InvalidRequest: Too many, or no digests.
        """
        if len(digests) > MAX_THUMBNAILS:
            raise InvalidRequest(
                f"{len(digests)} pictures are more than {MAX_THUMBNAILS}: ask for fewer at a time",
                field="digests",
            )
        for name in digests:
            if not DIGEST.fullmatch(name):
                raise InvalidRequest(f"{name[:80]!r} is no hex SHA-256", field="digests")
        found = self.index(dictionary).catalogue.thumbnails(digests)
        for name in digests:
            if name not in found and (made := self._made(name, tenant)):
                found[name] = made
        return found

    def firing(
        self, dictionary: str, feature: int, digests: Sequence[str], tenant: str
    ) -> tuple[list[Reference], int]:
        """Of these pictures those on which a feature fires, strongest first; how many failed."""
        index = self.index(dictionary)
        if not 0 <= feature < index.info.size:
            raise InvalidRequest(
                f"dictionary {dictionary!r} has features 0 to {index.info.size - 1}, not {feature}",
                field="feature",
            )
        images = tuple(self._sent(Digest(sha256=d), tenant) for d in digests)
        codes = self._codes(index, images) if images else []
        found = [
            reference(digest, code, feature, index.info.grid)
            for digest, code in zip(digests, codes, strict=True)
            if isinstance(code, Code)
        ]
        fires = [one for one in found if one.activation > 0]
        failed = sum(not isinstance(code, Code) for code in codes)
        return sorted(fires, key=lambda one: -one.activation), failed

    def _codes(
        self, index: Index, images: tuple[ImageRef, ...]
    ) -> Sequence[Code | SteerboardError]:
        about = index.catalogue.about
        request = Encode(
            model=str(about["model"]), images=images, dictionary=index.catalogue.dictionary
        )
        return self._runner.encode(request).items

    def _sent(self, image: ImageRef, tenant: str) -> ImageRef:
        """A picture that is named by its digest with its bytes, where they are held here."""
        if isinstance(image, Digest):
            return Encoded(data=self._library.read(image.sha256, tenant))
        return image

    def _make(self, sha256: str, tenant: str) -> bytes:
        """A thumbnail of a picture that is held here, else nothing."""
        try:
            return thumbnail(self._library.read(sha256, tenant))
        except (ImageNotCached, OSError):  # not here, or none that can be drawn
            return b""

    def _ask_words(self, model: str, template: str, words: str) -> Vocabulary:
        return vocabulary(self._reader, model, [words], template)


class Served:
    """Fingerprints of the dictionaries that are served, asked for every few seconds.

    Args:
        runner: Who serves them; while it is away, what it said last holds.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._until = runner, -math.inf
        self._known: dict[tuple[str, str], str] = {}
        self._asking = Lock()

    def fingerprint(self, model: str, dictionary: str) -> str:
        """That of a model's dictionary; empty where it is not served, or nobody answers."""
        with self._asking:
            if time.monotonic() >= self._until:
                self._ask()
                self._until = time.monotonic() + SERVED_S
        return self._known.get((model, dictionary), "")

    def _ask(self) -> None:
        try:
            models = self._runner.models()
        except SteerboardError:
            return
        self._known = {(m.id, d.id): d.fingerprint for m in models for d in m.dictionaries}


def look_through(index: Index) -> None:
    """Read which pictures every feature fires on most, and those pictures, small."""
    index.catalogue.pictures(index.features[::GROUP].tolist(), 1)
    index.catalogue.warm()


def pictured(index: Index, rows: list[FeatureRow], count: int) -> list[FeatureRow]:
    """Rows with their strongest pictures, at most ``count`` each."""
    if not count:
        return rows
    shown = index.catalogue.pictures((r.feature for r in rows), min(count, MOST_PICTURES))
    return [r.model_copy(update={"pictures": p}) for r, p in zip(rows, shown, strict=True)]


def read_index(place: str, version: str) -> Index:
    """The index of a file."""
    catalogue = held_catalogue(place, version)
    if not isinstance(catalogue, Catalogue):
        raise InvalidRequest(
            f"{Path(place).name} was built by an earlier version, which knew too little to search:"
            " build it again",
            field="dictionary",
        )
    return Index(catalogue)


def map_of(index: Index) -> FeatureMap:
    """The map of a catalogue."""
    clarity = index.statistics["clarity"]
    return FeatureMap(
        features=index.features.astype(np.int64),
        places=layout(index).astype(np.float32),
        firing_rates=index.statistics["firing_rate"].astype(np.float32),
        clarities=np.where(np.isfinite(clarity), clarity, -2).astype(np.float32),
        labels=index.labels.codes + 1,
        words=("", *(word or "" for word in index.labels.words)),
    )


def reference(digest: str, code: Code, feature: int, grid: tuple[int, int]) -> Reference:
    """How strongly, and where, a feature answers to a picture: by magnitude, as in catalogues."""
    own = code.features == feature
    heat = np.zeros(grid[0] * grid[1])
    prefix = code.shape[0] - len(heat)
    patches = own & (code.tokens >= prefix)
    heat[code.tokens[patches] - prefix] = code.values[patches]
    peak = float(np.abs(code.values[own]).max(initial=0.0))
    rows = tuple(map(tuple, heat.reshape(grid).tolist()))
    return Reference(image=digest, activation=peak, heat=rows)
