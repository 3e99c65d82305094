"""Pieces of HTML and sentences about recipes. Whatever a person may have written is escaped."""

from html import escape

from steerboard.recipe.changes import unit_of
from steerboard.spec.edits import Condition, Edit, Feature
from steerboard.spec.evidence import Share
from steerboard.spec.recipe import EvidenceNote, Recipe
from steerboard.store.recipe_rows import Ran, Saved

TONES = {
    "helpful": "good",
    "costly": "bad",
    "harmful": "bad",
    "no better than controls": "doubt",
    "inconclusive": "doubt",
}
TOKENS = {"all": "", "prefix": " on the class token", "patches": " on a region"}


def number(value: float, digits: int = 0) -> str:
    """With a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def percent(found: Share, digits: int = 0) -> str:
    """Such as ``60 % [50, 69] of 102``."""
    if not found.n:
        return "none to count"
    low, high = (f"{100 * end:.{digits}f}" for end in (found.low, found.high))
    return f"{100 * found.value:.{digits}f} % [{low}, {high}] of {found.n}"


def place(note: EvidenceNote) -> str:
    """The named set of a run."""
    return f"{note.image_set}, {note.split or 'all splits'}"


def told(note: EvidenceNote, net: tuple[float, float] | None = None) -> str:
    """A run in one line: fixes, breaks and net with their intervals."""
    interval = f" [{number(net[0])}, {number(net[1])}]" if net else ""
    return (
        f"Fixes {percent(note.fixed)}, breaks {percent(note.broken, 1)}, net"
        f" {number(note.net)}{interval} per 1,000 of {note.pictures} pictures on {place(note)}"
    )


def best(saved: Saved) -> tuple[EvidenceNote, tuple[float, float] | None] | None:
    """The latest run that proves something, with the interval of its net where it was made here."""
    nets = {ran.note.digest: ran.net for ran in saved.runs}
    proving = [note for note in saved.recipe.evidence if not note.chosen_here]
    return (proving[-1], nets.get(proving[-1].digest)) if proving else None


def badge(text: str, tone: str) -> str:
    """A word in a coloured pill."""
    return f'<span class="sb-badge {tone}">{escape(text)}</span>'


def badges(saved: Saved) -> str:
    """Unproven, or what its evidence says; and whether it is published."""
    found = best(saved)
    parts = [badge("unproven", "doubt") if found is None else verdict(found[0].verdict)]
    if saved.published:
        parts.append(badge("published", "plain"))
    return "".join(parts)


def applied(title: str, known: str, address: str, changed: bool) -> str:
    """Whence the edits of the workbench come; ``known`` are the recipe's badges."""
    name = f'<a href="{escape(address)}" target="_self">{escape(title)}</a>'
    since = " <span>changed since</span>" if changed else ""
    return f'<div class="sb-from">Recipe {name if address else escape(title)}{known}{since}</div>'


def marked(saved: Saved) -> str:
    """A recipe's name in a list of names, with what it lacks."""
    recipe = saved.recipe
    return recipe.name if recipe.status == "proven" else f"{recipe.name} (unproven)"


def verdict(word: str) -> str:
    """The verdict of a run as a badge."""
    return badge(word, TONES[word])


def line(saved: Saved) -> str:
    """What is known of a version, in one line."""
    found = best(saved)
    return told(*found) if found else "No evidence yet: run it on pictures that it was not made on."


def head(saved: Saved, when: str) -> str:
    """Name, version, badges; who and when; what it is for."""
    recipe = saved.recipe
    note = f"<p>{escape(recipe.summary)}</p>" if recipe.summary else ""
    later = (
        f' · <b class="old">version {saved.newest} is newer</b>'
        if saved.newest > recipe.version
        else ""
    )
    return (
        f'<div class="sb-recipe"><h3>{escape(recipe.name)} <em>v{recipe.version}</em></h3>'
        f"{badges(saved)}<small>{escape(saved.author)} · {escape(when)}{later}</small>{note}</div>"
    )


def card(saved: Saved, when: str) -> str:
    """A recipe in the list."""
    changes = edits_in_short(saved.recipe)
    small = f'<div class="sb-line"><b>{escape(changes)}.</b> {escape(line(saved))}</div>'
    return head(saved, when) + small


def edits_in_short(recipe: Recipe) -> str:
    """Such as ``3 features of middle off``."""
    groups: dict[tuple[str, str], int] = {}
    for edit in recipe.steer.edits:
        of = edit.unit.dictionary if isinstance(edit.unit, Feature) else ""
        kind = f"features of {of}" if of else f"{edit.unit.kind}s"
        key = (kind, operation(edit))
        groups[key] = groups.get(key, 0) + 1
    parts = [f"{n} {counted(kind, n)} {done}" for (kind, done), n in groups.items()]
    shown = "; ".join(parts[:3])
    return shown if len(parts) <= 3 else f"{shown}; and {len(parts) - 3} more changes"


def counted(kind: str, n: int) -> str:
    """``features of middle``, or ``feature of middle`` where it is one."""
    noun, of, rest = kind.partition(" of ")
    return f"{noun if n > 1 else noun.removesuffix('s')}{of}{rest}"


def operation(edit: Edit) -> str:
    """What is done to a unit, in words."""
    match edit.op.kind:
        case "scale":
            return scaled(edit.op.m)
        case "set":
            where = "everywhere" if edit.op.everywhere else "where active"
            return f"set to {edit.op.value:g} {where}"
        case "add":
            return f"added {number(edit.op.alpha, 2)} token norms"
        case "remove":
            return "removed"


def scaled(m: float) -> str:
    """A strength in words."""
    known = {-1.0: "off", 0.0: "unchanged", 1.0: "doubled"}
    if m in known:
        return known[m]
    return f"at {100 * (1 + m):.0f} %".replace("-", "−")


def unit(edit: Edit) -> str:
    """What is changed, such as ``#2075 of middle``."""
    if isinstance(edit.unit, Feature):
        return f"#{edit.unit.index} of {edit.unit.dictionary}"
    return unit_of(edit.unit)


def only_where(condition: Condition | None) -> str:
    """A condition in words, or nothing."""
    if condition is None:
        return ""
    of = condition.unit
    name = f"#{of.index} of {of.dictionary}" if isinstance(of, Feature) else unit_of(of)
    place_ = "anywhere on the picture" if condition.per == "image" else "at the same place"
    return f"only where {name} is {condition.when} {condition.tau:g} {place_}"


def change(edit: Edit, label: str, pictures: list[tuple[str, str]]) -> str:
    """An edit: what is changed and how, what the catalogue calls it, what it answers to.

    Args:
        edit: The edit.
        label: From the catalogue, or empty.
        pictures: (address, tooltip) of each reference picture.
    """
    name = f" <q>{escape(label)}</q>" if label else ""
    limit = only_where(edit.condition)
    more = f"<small>{escape(limit)}</small>" if limit else ""
    shown = "".join(
        f'<img src="{src}" alt="{escape(t)}" title="{escape(t)}">' for src, t in pictures
    )
    gallery = f'<div class="sb-thumbs">{shown}</div>' if shown else ""
    where = f"{edit.site}{TOKENS[edit.mask.kind]}"
    return (
        f'<div class="sb-change"><div><b>{escape(unit(edit))}</b>{name} '
        f"<span>{escape(operation(edit))}</span><small>{escape(where)}</small>{more}</div>"
        f"{gallery}</div>"
    )


def run(ran: Ran | None, note: EvidenceNote, when: str) -> str:
    """One evidence run in the list of them."""
    net = ran.net if ran else None
    who = f"{ran.author} · {when}" if ran else "came along with the file"
    own = ""
    if note.chosen_here:
        own = f"not independent: made on {note.chosen_here} of these pictures"
        own = f'<small class="old">{own}</small>'
    return (
        f'<div class="sb-run">{verdict(note.verdict)}<span>{escape(told(note, net))}</span>'
        f"<small>{escape(who)}</small>{own}</div>"
    )


def facts(recipe: Recipe) -> list[tuple[str, str]]:
    """What it is to mend, what it was made on, and for which model: each with its heading."""
    made = recipe.provenance
    failures = " and ".join(f"{k} {v}" for k, v in recipe.failures.items())
    found = [
        ("To mend", failures or "nothing named: its evidence has no failing pictures"),
        ("Among", asked(recipe)),
        ("Made on", origin(recipe)),
        ("Model", f"{made.model} ({made.model_fingerprint[:10]})"),
        ("Dictionaries", ", ".join(f"{p.id} at {p.site}" for p in made.dictionaries) or "none"),
    ]
    return [*found, ("How", made.method)] if made.method else found


def asked(recipe: Recipe) -> str:
    """The first classes of its decision."""
    names = recipe.classifier.names
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def origin(recipe: Recipe) -> str:
    """The pictures that it was chosen on, which its evidence leaves out."""
    parts = recipe.provenance.chosen_on
    if not parts:
        return "not recorded"
    told = []
    for part in parts:
        where = f"{part.image_set} {part.split}".strip()
        one = len(part.pictures) == 1
        told.append(f"{len(part.pictures) or 'all'} picture{'' if one else 's'} of {where}")
    return ", ".join(told) + "; never counted as evidence"
