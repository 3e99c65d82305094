"""Units of any kind as the page names, moves and puts them back."""

from collections.abc import Sequence
from typing import assert_never

import numpy as np
import numpy.typing as npt
import streamlit as st

from services.ui import locating, markup
from services.ui.backend import model
from services.ui.session import act, redraw, state
from steerboard.spec.digest import digest
from steerboard.spec.edits import (
    Condition,
    Direction,
    Edit,
    Feature,
    Head,
    Neuron,
    Op,
    Part,
    Scale,
    Unit,
)
from steerboard.spec.tensor import Tensor
from steerboard.store.events import Edited, FeatureMoved, PutBack
from steerboard.store.how import How

KNOWN = "direction-words"  # by the digest of a direction


def unit(now: How, index: int) -> Unit:
    """The unit that a ranking calls ``index``."""
    match now.units:
        case "feature":
            return Feature(dictionary=locating.dictionary().id, index=index)
        case "neuron":
            return Neuron(index=index)
        case "head":
            return Head(index=index)
        case "direction":
            assert now.directions is not None
            return Direction(values=Tensor.of(now.directions.numpy()[index]))
    assert_never(now.units)


def title(now: How, index: int, label: str = "") -> str:
    """A row's heading."""
    if now.units == "direction":
        return now.words[index] if index < len(now.words) else f"direction {index}"
    name = f"#{index}" if now.units == "feature" else f"{now.units} {index}"
    return f"{name} {label}".strip()


def name_of(site: str, found: Unit) -> str:
    """A moved unit in few words."""
    match found:
        case Feature():
            return f"{found.dictionary} #{found.index}"
        case Neuron() | Head():
            return f"{found.kind} {found.index} at {site}"
        case Direction():
            return f"{worded(found)} at {site}"
        case Part():
            return f"the {found.of} of {found.dictionary}" if found.dictionary else site
    assert_never(found)


def worded(found: Direction) -> str:
    """The words of a direction, where they are known here."""
    now = state().how
    rows = () if now.directions is None else now.directions.numpy()
    for word, row in zip(now.words, rows, strict=False):
        if Tensor.of(row) == found.values:
            return f"“{word}”"
    known: dict[str, str] = st.session_state.get(KNOWN, {})
    word = known.get(digest(found.values), "")
    return f"“{word}”" if word else "a direction"


def know(words: Sequence[str], rows: npt.NDArray[np.float32]) -> None:
    """From now on these directions ``[n, d]`` are called by their words."""
    known: dict[str, str] = st.session_state.setdefault(KNOWN, {})
    known.update((digest(Tensor.of(row)), w) for w, row in zip(words, rows, strict=True))


def change_of(site: str, found: Unit) -> Edit | None:
    """What the session does to a unit, if anything."""
    if isinstance(found, Feature):
        m = state().moves.get(found.dictionary, {}).get(found.index)
        if m is not None:
            return Edit(site=site, unit=found, op=Scale(m=m))
    return next((e for e in state().edits if (e.site, e.unit) == (site, found)), None)


def strength(found: Edit | None) -> float | None:
    """What a slider shows of a change; None for what no slider can show."""
    if found is None:
        return 0.0
    return found.op.m if isinstance(found.op, Scale) and abs(found.op.m) <= 1 else None


def scale(site: str, found: Unit, m: float) -> None:
    """Move a unit on the tokens that count; features on all of them as ever."""
    tokens = locating.how().tokens
    if m == 0:
        put_back(site, found)
    elif isinstance(found, Feature) and tokens.kind == "all":
        act(FeatureMoved, dictionary=found.dictionary, feature=found.index, m=m)
    else:
        act(Edited, edits=(Edit(site=site, unit=found, op=Scale(m=m), mask=tokens),))


def change(site: str, found: Unit, op: Op, condition: Condition | None = None) -> None:
    """Change a unit in any way that fits it."""
    redraw()
    edit = Edit(site=site, unit=found, op=op, mask=locating.how().tokens, condition=condition)
    act(Edited, edits=(edit,))


def put_back(site: str, found: Unit) -> None:
    """A unit as the model has it."""
    if isinstance(found, Feature):
        act(FeatureMoved, dictionary=found.dictionary, feature=found.index, m=0.0)
    else:
        act(PutBack, site=site, unit=found)


def ops(found: Unit) -> tuple[str, ...]:
    """The ops that fit a unit (methods, section 2)."""
    match found:
        case Head() | Part():
            return ("scale",)
        case Neuron():
            return ("scale", "set", "add")
        case Feature() | Direction():
            return ("scale", "set", "add", "remove")
    assert_never(found)


def why_not(site: str, found: Unit) -> str:
    """Why the served model cannot take a change of this unit; empty where it can."""
    if isinstance(found, Feature | Part) and found.dictionary:
        return why_no_feature(found, site)
    place = model().site(site)
    if place is None:
        return f"this model has no site {site}"
    sizes = {"neuron": place.width, "head": place.heads}
    if isinstance(found, Neuron | Head) and found.index >= sizes[found.kind]:
        return f"{site} has {found.kind}s 0 to {sizes[found.kind] - 1}"
    if isinstance(found, Direction) and found.values.shape[0] != place.width:
        return f"a direction at {site} has {place.width} numbers, not {found.values.shape[0]}"
    return ""


def why_no_feature(found: Feature | Part, site: str) -> str:
    """The same for what belongs to a dictionary."""
    book = model().dictionary(found.dictionary)
    if book is None:
        return f"this model has no dictionary {found.dictionary!r}"
    if book.site != site:
        return f"dictionary {book.id!r} belongs to {book.site}"
    if isinstance(found, Feature) and found.index >= book.size:
        return f"dictionary {book.id!r} has features 0 to {book.size - 1}"
    return ""


def said(edit: Edit) -> str:
    """A change in words, such as ``middle #12 set to 4``."""
    op, name = edit.op, name_of(edit.site, edit.unit)
    where = "" if edit.mask.kind == "all" else " in a part"
    where += " where it holds" if edit.condition else ""
    match op.kind:
        case "scale":
            word = {-1.0: "off", 1.0: "doubled"}.get(op.m, markup.change(op.m))
        case "set":
            word = f"set to {op.value:g}"
        case "add":
            word = f"pushed by {markup.change(op.alpha)}"
        case "remove":
            word = "removed"
    return f"{name} {word}{where}"
