"""A team's own names, remarks, tags and votes for features.

They are kept apart from what a catalogue computes, by the fingerprint of the dictionary and not by
its name: a catalogue that is built again keeps them, and another dictionary under the same name
does not get them. Nothing is changed or deleted: what holds is a fold over what was said.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from steerboard.spec.catalogue import Kind, Labels, Said
from steerboard.spec.errors import InvalidRequest
from steerboard.store.label_table import FeatureLabelRow
from steerboard.store.schema import upgrade
from steerboard.store.store import open_engine, speaking, utc

LONGEST = {"name": 200, "note": 10_000, "tag": 60, "untag": 60, "vote": 0}
ASKED_AT_ONCE = 500


class FeatureLabels:
    """Writes down and reads what people say of features.

    Args:
        url: The database of the sessions.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        with speaking():
            upgrade(self._engine)

    def say(
        self, dictionary: str, feature: int, author: str, kind: Kind, text: str = "", value: int = 0
    ) -> Said:
        """Write one thing down; raises InvalidRequest for what cannot be.

        Args:
            dictionary: Fingerprint of the dictionary.
            feature: Its number.
            author: Who says so.
            kind: ``name``, ``note``, ``tag``, ``untag`` with a text; ``vote`` with a value.
            text: The words; an empty name takes the name back.
            value: Of a vote: 1 the name is right, -1 it is wrong, 0 no opinion any more.
        """
        check(feature, author, kind, text.strip(), value)
        said = Said(
            feature=feature,
            author=author,
            at=datetime.now(UTC),
            kind=kind,
            text=text.strip(),
            value=value,
        )
        with speaking(), Session(self._engine) as database, database.begin():
            database.add(FeatureLabelRow(dictionary=dictionary, **said.model_dump()))
        return said

    def history(self, dictionary: str, feature: int) -> list[Said]:
        """All that was said of a feature, in order."""
        return self._read(of(dictionary).where(FeatureLabelRow.feature == feature))

    def current(self, dictionary: str, features: Sequence[int]) -> dict[int, Labels]:
        """What holds of features; those of which nobody spoke are left out."""
        said: dict[int, list[Said]] = {}
        for start in range(0, len(features), ASKED_AT_ONCE):
            part = list(features[start : start + ASKED_AT_ONCE])
            for one in self._read(of(dictionary).where(FeatureLabelRow.feature.in_(part))):
                said.setdefault(one.feature, []).append(one)
        return {feature: fold(own) for feature, own in said.items()}

    def spoken(self, dictionary: str) -> dict[int, Labels]:
        """What holds of every feature of which anybody spoke."""
        said: dict[int, list[Said]] = {}
        for one in self._read(of(dictionary)):
            said.setdefault(one.feature, []).append(one)
        return {feature: fold(own) for feature, own in said.items()}

    def tagged(self, dictionary: str, tag: str) -> list[int]:
        """Features that bear a tag, rising."""
        spoken = of(dictionary).where(FeatureLabelRow.kind == "tag", FeatureLabelRow.text == tag)
        found = self.current(dictionary, sorted({s.feature for s in self._read(spoken)}))
        return sorted(feature for feature, labels in found.items() if tag in labels.tags)

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    def _read(self, wanted: Select[Any]) -> list[Said]:
        with speaking(), Session(self._engine) as database:
            return [plain(row) for row in database.scalars(wanted)]


def of(dictionary: str) -> Select[Any]:
    """What was said of a dictionary, in order."""
    return (
        select(FeatureLabelRow)
        .where(FeatureLabelRow.dictionary == dictionary)
        .order_by(FeatureLabelRow.id)
    )


def plain(row: FeatureLabelRow) -> Said:
    """A row as it was said."""
    same = {name: getattr(row, name) for name in Said.model_fields}
    return Said.model_validate({**same, "at": utc(row.at)})


def fold(said: Iterable[Said]) -> Labels:
    """What holds after all that was said."""
    name, by, tags = "", "", dict[str, None]()
    notes: list[Said] = []
    votes: dict[str, int] = {}
    for one in said:
        match one.kind:
            case "name":
                # Another name is another question: votes were for the one before.
                votes = votes if one.text == name else {}
                name, by = one.text, one.author if one.text else ""
            case "note":
                notes.append(one)
            case "tag":
                tags[one.text] = None
            case "untag":
                tags.pop(one.text, None)
            case "vote":
                votes[one.author] = one.value
    total = Counter(votes).total()
    return Labels(name=name, named_by=by, notes=tuple(notes), tags=tuple(tags), votes=total)


def check(feature: int, author: str, kind: str, text: str, value: int) -> None:
    """Raises InvalidRequest where a thing cannot be said so."""
    if kind not in get_args(Kind):
        raise InvalidRequest(f"{kind!r} is not one of {', '.join(get_args(Kind))}", field="kind")
    if not 0 <= feature < 2**31:
        raise InvalidRequest(f"{feature} is no number of a feature", field="feature")
    if not author.strip() or len(author) > 200:
        raise InvalidRequest("say who says so, in at most 200 characters", field="author")
    if kind == "vote" and value not in (-1, 0, 1):
        raise InvalidRequest(f"a vote is 1, 0 or -1, not {value}", field="value")
    if kind in ("note", "tag", "untag") and not text:
        raise InvalidRequest(f"a {kind} needs words", field="text")
    if len(text) > LONGEST[kind]:
        raise InvalidRequest(
            f"a {kind} has at most {LONGEST[kind]} characters, not {len(text)}", field="text"
        )
