"""What became of a set while it was read, and what to say where nothing did."""

from collections import Counter
from dataclasses import dataclass, field

from steerboard.images.conditions import asked_about
from steerboard.images.picture import LISTED, Broken, Entry, Value
from steerboard.spec.errors import InvalidRequest

NAMES = 16  # facts that are named


@dataclass
class Seen:
    """What a set holds, chosen or not: for who has asked for what is not there.

    Attributes:
        split: The one that was asked for; empty: all.
        where: The condition.
        pictures: How many the set names.
        splits: How many of each split; empty: of none.
        facts: What a condition may ask about.
    """

    split: str = ""
    where: str = ""
    pictures: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    facts: dict[str, None] = field(default_factory=dict)

    def note(self, entry: Entry, own: bool) -> None:
        """Count one; ``own``: the splits are those that the set names."""
        self.pictures += 1
        self.facts.update(dict.fromkeys(facts(entry)))
        if own:
            self.splits[entry.split] += 1

    def unknown(self) -> str:
        """A sentence on what the condition asks about and no picture has; empty: nothing."""
        strange = [n for n in asked_about(self.where) if self.facts and n not in self.facts]
        if not strange:
            return ""
        known = sorted(self.facts)
        told = ", ".join(known[:NAMES]) + (", ..." if len(known) > NAMES else "")
        return f"no picture has {', '.join(map(repr, strange))}; a condition may ask about {told}"

    def why_none(self) -> str:
        """What keeps every picture out, and what there is instead."""
        if not self.pictures:
            return "the set holds no picture: name a folder of pictures, a manifest or a tar"
        if self.split and self.splits and not self.splits[self.split]:
            named = ", ".join(f"{s} ({n})" for s, n in sorted(self.splits.items()) if s) or "none"
            return (
                f"no picture is of split {self.split!r}: there are {self.pictures} pictures,"
                f" splits: {named}; an empty split takes all"
            )
        among = f" of split {self.split!r}" if self.split else ""
        asked = f"of {self.pictures} pictures none{among} fits {self.where!r}"
        return "; ".join(filter(None, (asked, self.unknown())))


@dataclass
class Report:
    """What became of a set while it was read.

    Attributes:
        pictures: How many were given out.
        broken: How many could not be read.
        named: The first of those, each with the reason.
        duplicates: How many held the same bytes as one before them; they are left out.
        seen: What there was to choose from.
    """

    pictures: int = 0
    broken: int = 0
    named: list[Broken] = field(default_factory=list)
    duplicates: int = 0
    seen: Seen = field(default_factory=Seen, compare=False)

    def add(self, broken: Broken) -> None:
        """Count and name a broken one."""
        self.broken += 1
        if len(self.named) < LISTED:
            self.named.append(broken)

    def nothing(self) -> InvalidRequest:
        """What to say where no picture was given out."""
        if not self.broken:
            return InvalidRequest(self.seen.why_none(), field="images")
        first = self.named[0]
        rest = (
            f" (and {self.broken - 1} others, each for its own reason)" if self.broken > 1 else ""
        )
        return InvalidRequest(
            f"no picture of the set could be read: {first.key}: {first.why}{rest}", field="images"
        )


def facts(entry: Entry) -> dict[str, Value]:
    """What a condition may ask about."""
    own: dict[str, Value] = {"key": entry.key, "label": entry.label, "split": entry.split}
    return {**entry.attributes, **own}
