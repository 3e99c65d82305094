"""What was measured, as lines that name their bound; as Markdown and as JSON."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.clock import Figure


@dataclass(frozen=True)
class Line:
    """One number with what the project asks of it."""

    row: str
    what: str
    value: Figure
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps its bound; None where there is none."""
        if self.at_least is None and self.at_most is None:
            return None
        low = self.at_least is None or self.value.median >= self.at_least
        return low and (self.at_most is None or self.value.median <= self.at_most)

    @property
    def bound(self) -> str:
        """In words."""
        if self.at_least is not None:
            return f"at least {self.at_least:.3g}"
        return "" if self.at_most is None else f"at most {self.at_most:.3g}"

    def told(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}


VERDICT = {True: "met", False: "**short**", None: ""}


def markdown(record: dict[str, Any], lines: list[Line]) -> str:
    """The machine, then a table with one line a number."""
    told = [f"{name}: {value}" for name, value in record["machine"].items()]
    head = ["; ".join(told), "", "| | what | median [lowest, highest] | bound | |"]
    rows = [
        f"| {line.row} | {line.what} | {line.value.median:.3g} [{line.value.low:.3g},"
        f" {line.value.high:.3g}] {line.unit} | {line.bound} | {VERDICT[line.met]} |"
        for line in lines
    ]
    missing = [f"\nNot measured: {name} ({why})" for name, why in record["missing"].items()]
    profile = [_profile(name, found) for name, found in record.get("profiles", {}).items()]
    return "\n".join([*head, "|---|---|---|---|---|", *rows, *missing, *profile])


def _profile(name: str, found: list[dict[str, Any]]) -> str:
    """Threads by what they had in all, then what took most of it."""
    whole: Counter[str] = Counter()
    for one in found:
        whole[one["thread"]] += one["share"]
    rows = [
        f"| {thread} | all of it | {100 * share:.1f} % |" for thread, share in whole.most_common(6)
    ]
    rows += [f"| {p['thread']} | `{p['doing']}` | {100 * p['share']:.1f} % |" for p in found[:15]]
    head = f"\nWhere the server's processor time goes ({name})\n"
    return "\n".join([head, "| thread | doing | share |", "|---|---|---|", *rows])


def write(folder: Path, record: dict[str, Any], lines: list[Line]) -> None:
    """``serving.json`` and ``serving.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serving.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "serving.md").write_text(markdown(record, lines) + "\n")
