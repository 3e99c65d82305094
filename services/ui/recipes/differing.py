"""All versions of a recipe, and where two of them differ."""

import re
from collections.abc import Iterator, Sequence
from html import escape

import streamlit as st

from services.ui.recipes import words
from services.ui.recipes.shelf import when
from steerboard.recipe.changes import edits
from steerboard.spec.recipe import Recipe
from steerboard.store.recipe_rows import Saved

Line = tuple[str, str, str]  # place, before, after


def history(saved: Saved, versions: Sequence[Saved]) -> None:
    """All versions, and the difference to another one."""
    if len(versions) == 1:
        return
    st.html(f"<h4>{len(versions)} versions</h4>")
    lines = "".join(
        f"<b>v{s.recipe.version}</b>"
        f"<span>{escape(words.edits_in_short(s.recipe))} {words.badges(s)}</span>"
        f"<small>{escape(s.author)} · {escape(when(s.at))}</small>"
        for s in versions
    )
    st.html(f'<div class="sb-history">{lines}</div>')
    others = [s for s in versions if s.recipe.version != saved.recipe.version]
    chosen = st.selectbox(
        "Compare this version with",
        others,
        format_func=lambda s: f"v{s.recipe.version} by {s.author}",
        key=f"compare-{saved.recipe.version}",
    )
    old, new = sorted((chosen.recipe, saved.recipe), key=lambda recipe: recipe.version)
    st.html(differences(old, new))


def differences(old: Recipe, new: Recipe) -> str:
    """Where two versions differ, as a table, the older one first."""
    found = [*spoken(old, new), *facts(old, new), *changed(old, new)]
    if not found:
        return '<div class="sb-line">They change the same.</div>'
    rows = "".join(
        f"<b>{escape(place)}</b><s>{escape(before) or '–'}</s><ins>{escape(after) or '–'}</ins>"
        for place, before, after in found
    )
    head = f"<i></i><i>v{old.version}</i><i>v{new.version}</i>"
    return f'<div class="sb-diff">{head}{rows}</div>'


def spoken(old: Recipe, new: Recipe) -> Iterator[Line]:
    """The note, and the prompts that only one of them has."""
    if old.summary != new.summary:
        yield "Note", old.summary, new.summary
    if old.classifier != new.classifier:
        names = old.classifier.names, new.classifier.names
        left, right = (", ".join(n for n in a if n not in b) for a, b in (names, names[::-1]))
        yield "Among", left or words.asked(old), right or words.asked(new)


def facts(old: Recipe, new: Recipe) -> Iterator[Line]:
    """What stands beside the edits, in the page's own words."""
    before, after = dict(words.facts(old)), dict(words.facts(new))
    for name in dict.fromkeys((*before, *after)):
        one, two = before.get(name, ""), after.get(name, "")
        if name != "Among" and one != two:
            yield name, one, two


def changed(old: Recipe, new: Recipe) -> Iterator[Line]:
    """Edits that came, went or have another strength."""
    for found in edits(old.steer, new.steer):
        yield plainly(found.place), found.before, found.after


def plainly(place: str) -> str:
    """A place of a difference without the site's code where a feature says enough."""
    return re.sub(r"^(resid_post|resid_pre)\.(\d+): ", r"block \2, ", place)
