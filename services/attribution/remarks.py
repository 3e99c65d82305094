"""What people say of features, behind the door; who says it comes from the token."""

import logging
from functools import cached_property
from threading import Lock

from services.attribution.catalogues import Catalogues
from steerboard.api.tokens import ANONYMOUS, Identity
from steerboard.spec.catalogue import Kind, Labels, Said
from steerboard.spec.digest import digest
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError
from steerboard.store.labels import FeatureLabels, fold

_LOG = logging.getLogger(__name__)
SEVERAL = ("service", "admin")  # roles that speak for several people


class Remarks:
    """Reads and writes people's words for the features of catalogues.

    Args:
        catalogues: What is spoken about.
        store: URL of the database; opened with the first question, or by ``warm``.
    """

    def __init__(self, catalogues: Catalogues, store: str) -> None:
        self._catalogues, self._store = catalogues, store
        self._opening = Lock()

    def warm(self) -> None:
        """Open the database, so that the first visitor waits less."""
        try:
            self._labels()
        except SteerboardError as error:
            _LOG.warning("what people say of features: %s", error.message)

    def spoken(self, dictionary: str, who: Identity) -> dict[int, Labels]:
        """What holds of every feature of which anybody spoke."""
        return self._labels().spoken(self._about(dictionary, who))

    def of(self, dictionary: str, feature: int, who: Identity) -> tuple[Labels, list[Said]]:
        """What holds of a feature, and everything that was said."""
        said = self._labels().history(self._about(dictionary, who), feature)
        return fold(said), said

    def say(
        self,
        dictionary: str,
        feature: int,
        author: str,
        kind: Kind,
        text: str,
        value: int,
        who: Identity,
    ) -> tuple[Labels, list[Said]]:
        """Write something down; raises InvalidRequest or NotFound."""
        size = self._catalogues.index(dictionary).info.size
        if not 0 <= feature < size:
            raise NotFound(
                f"dictionary {dictionary!r} has features 0 to {size - 1}, not {feature}",
                field="feature",
            )
        if not author.strip() and who == ANONYMOUS:
            raise InvalidRequest("say who says so: give a name", field="author")
        speaks = who.role in SEVERAL or who == ANONYMOUS
        name = author.strip() if speaks and author.strip() else who.subject
        about = self._about(dictionary, who)
        self._labels().say(about, feature, name, kind, text, value)
        return self.of(dictionary, feature, who)

    def _about(self, dictionary: str, who: Identity) -> str:
        """Under what the people of a tenant speak of a dictionary."""
        fingerprint = self._catalogues.index(dictionary).info.fingerprint
        return fingerprint if who.tenant == "default" else digest(who.tenant, fingerprint)

    def _labels(self) -> FeatureLabels:
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> FeatureLabels:
        return FeatureLabels(self._store)
