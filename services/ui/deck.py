"""Which pictures a steer set is tried on besides the one that is open."""

import time
from dataclasses import dataclass, field

from steerboard.analysis.side_effects import Case
from steerboard.api.convert_library import ImageSet
from steerboard.api.jobs_client import LibraryClient

PICTURES = 240
PAGE = 500
KEPT_S = 300.0
TOLD_OF = "test"  # the split that results are told of, and nothing is chosen on


def chosen(found: ImageSet) -> str:
    """The split that is drawn from: validation, else any that results are not told of."""
    if "validation" in found.splits:
        return "validation"
    return next((s for s in found.splits if s != TOLD_OF), next(iter(found.splits), ""))


@dataclass
class Deck:
    """Probe sets by the names of the classes, drawn from the library's first image set.

    Never from its test split, where it has another: who turns features until few of these pictures
    break has chosen by them, and the test split is what recipes tell their results of.
    ``split`` is the one that was drawn from, once any was.
    """

    library: LibraryClient
    split: str = ""
    _drawn: dict[tuple[str, ...], tuple[float, tuple[Case, ...]]] = field(default_factory=dict)

    def get(self, names: tuple[str, ...]) -> tuple[Case, ...]:
        """At most ``PICTURES`` pictures whose label is among ``names``, evenly from all groups.

        Within a group those with the smallest digests: a draw that is the same for everybody.
        Raises a SteerboardError where the library is away.
        """
        held = self._drawn.get(names)
        if held is None or time.monotonic() - held[0] > KEPT_S:
            held = self._drawn[names] = time.monotonic(), self._draw(names)
            while len(self._drawn) > 16:
                self._drawn.pop(next(iter(self._drawn)), None)  # another thread may have done it
        return held[1]

    def _draw(self, names: tuple[str, ...]) -> tuple[Case, ...]:
        found = next((s for s in self.library.image_sets() if s.size), None)
        if found is None:
            return ()
        self.split = split = chosen(found)
        groups = found.groups or ("",)
        parts = [self._group(found, split, group, names) for group in groups]
        return tuple(case for part in parts for case in part[: PICTURES // len(groups)])

    def _group(self, found: ImageSet, split: str, group: str, names: tuple[str, ...]) -> list[Case]:
        truth = {name.casefold(): i for i, name in enumerate(names)}
        cases: list[Case] = []
        token: str | None = ""
        while token is not None:
            page = self.library.images(
                found.id, split=split, group=group, page_token=token, page_size=PAGE
            )
            cases += [
                Case(card.sha256, truth[card.label.casefold()], group, f"{found.id}/{card.path}")
                for card in page.items
                if card.label.casefold() in truth
            ]
            token = page.next or None
        return sorted(cases, key=lambda case: case.key)
