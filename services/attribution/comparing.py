"""Two catalogues side by side, behind the door: matched once, aside, then listed page by page."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from threading import Lock

import numpy as np

from services.attribution.catalogues import Catalogues
from steerboard.catalogue.find import Clues
from steerboard.catalogue.index import Index
from steerboard.catalogue.pairing import Pairing, chosen, pair, summary
from steerboard.catalogue.records import Array
from steerboard.spec.catalogue import ComparedFeatures, FeaturePair, Labels, PairSide
from steerboard.spec.errors import InvalidRequest, Unavailable

HELD = 4
PATIENCE_S = 1.5  # that a caller waits; then it is told to come again
Spoken = tuple[Mapping[int, Labels], Mapping[int, Labels]]
Both = tuple[Index, Index]


class Comparisons:
    """Pairs of catalogues; those that were asked for last stay matched.

    Args:
        catalogues: What is compared.
    """

    def __init__(self, catalogues: Catalogues) -> None:
        self._catalogues = catalogues
        self._thread = ThreadPoolExecutor(1, "comparing")
        self._held: dict[Both, Future[Pairing]] = {}
        self._lock = Lock()

    def page(
        self, names: tuple[str, str], side: PairSide, floor: float, part: slice, pictures: int,
        spoken: Spoken,
    ) -> ComparedFeatures:  # fmt: skip
        """Some pairs; raises Unavailable while the two are being compared.

        Args:
            names: Of the two dictionaries.
            side: Which features.
            floor: Alikeness from which two are partners.
            part: Which of them, in order.
            pictures: Of each feature, at most.
            spoken: What people call the features of each.

        Raises:
            NotFound: No such catalogue, or nothing that they could be compared by.
            InvalidRequest: They cannot be compared, or it is one catalogue twice.
        """
        if names[0] == names[1]:
            raise InvalidRequest(
                "a catalogue is not compared with itself: name another one", field="other"
            )
        if not 0 <= floor <= 1:
            raise InvalidRequest(f"a floor lies in [0, 1], not at {floor:g}", field="floor")
        both = self._catalogues.index(names[0]), self._catalogues.index(names[1])
        found = self._matched(both)
        listed = chosen(found, side, floor)
        return ComparedFeatures(
            pairs=self._pairs(both, found, side, listed[part], pictures, spoken),
            next=str(part.stop) if part.stop < len(listed) else "",
            total=len(listed),
            by=found.by,
            shared=found.comparison.pictures,
            first=summary(found.comparison.first, floor),
            second=summary(found.comparison.second, floor),
        )

    def _matched(self, both: Both) -> Pairing:
        """Begun with the first question; whoever asks meanwhile waits a little."""
        with self._lock:
            future = self._held.pop(both, None)
            if future is None or (future.done() and future.exception() is not None):
                future = self._thread.submit(pair, *both)
            self._held[both] = future
            while len(self._held) > HELD:
                self._held.pop(next(iter(self._held))).cancel()
        try:
            return future.result(PATIENCE_S)
        except NotYet:
            raise Unavailable(
                "the two catalogues are still being compared, which takes a while the first time"
            ) from None

    def _pairs(
        self, both: Both, found: Pairing, side: PairSide, entries: Array, pictures: int,
        spoken: Spoken,
    ) -> tuple[FeaturePair, ...]:  # fmt: skip
        second = side == "second_alone"
        match, cosines = found.side(second)
        own = match.features[entries], match.partners[entries]
        numbers = own[::-1] if second else own
        firsts, seconds = (
            self._catalogues.rows(index, which, Clues(people=people), pictures)
            for index, which, people in zip(both, numbers, spoken, strict=True)
        )
        out = []
        for a, b, i in zip(firsts, seconds, entries, strict=True):
            if not np.isfinite(match.correlations[i]):  # nothing can be said: like nothing
                out.append(FeaturePair(second=b) if second else FeaturePair(first=a))
                continue
            out.append(
                FeaturePair(
                    first=a,
                    second=b,
                    alike=float(match.correlations[i]),
                    cosine=None if cosines is None else float(cosines[i]),
                    mutual=bool(match.mutual[i]),
                    together=None if match.together is None else int(match.together[i]),
                )
            )
        return tuple(out)
