"""The explorer's pieces of HTML. Whatever a person may have written is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from steerboard.spec.catalogue import Detected, FeatureCard, FeatureRow

STYLE = Path(__file__).with_name("explorer.css").read_text()
SURE = 0.5  # average precision from which a class is named
TITLES = {
    "feature": "Number",
    "firing_rate": "Fires on",
    "mean": "Mean response",
    "maximum": "Largest response",
    "clarity": "Clarity",
    "polysemanticity": "Polysemanticity",
    "redundancy": "Redundancy",
    "label_score": "Label score",
    "precision": "Precision for a class",
    "auroc": "AUROC for a class",
    "lift": "Lift of a class",
    "relevance": "Best fit",
    "votes": "Votes",
}
ABOUT = {
    "firing_rate": "share of the pictures on which it fires anywhere",
    "mean": "its mean response on the pictures where it fires",
    "maximum": "its largest response to any picture",
    "clarity": "how alike its strongest pictures are: 1 all the same, 0 nothing in common",
    "polysemanticity": "how unlike two groups of its strongest pictures are: high, two meanings",
    "redundancy": "the largest cosine of its decoder row with another feature's",
    "label_score": "how well its label fits its strongest pictures",
    "precision": "average precision as a detector of the class that it detects best",
    "auroc": "area under the ROC curve for that class: 0.5 by chance",
    "lift": "times as frequent that class is among the pictures on which it fires",
    "votes": "of people for its name, less those against",
}


def link(href: str, text: str, soft: str = "top", kind: str = "") -> str:
    """A link that a plain click follows without loading the page; ``text`` is HTML."""
    return f'<a class="{kind}" data-soft="{soft}" target="_self" href="{escape(href)}">{text}</a>'


def title(row: FeatureRow) -> str:
    """What a feature is called: by people, by its label, else by the class that it detects."""
    return escape(row.name) if row.name else best_name(row.label, row.class_name, row.precision)


def called(card: FeatureCard) -> str:
    """The same of a card, where people did not name it."""
    best = card.classes[0] if card.classes else None
    return best_name(card.label, best.name if best else "", best.ap if best else None)


def best_name(label: str, class_name: str, precision: float | None) -> str:
    """A label, else the class that is surely detected, else that there is none; as HTML."""
    if label:
        return escape(label)
    sure = class_name and precision is not None and precision >= SURE
    return f"<i>detects {escape(spoken(class_name))}</i>" if sure else "<i>no label</i>"


def card(row: FeatureRow, href: str, pictures: Mapping[str, str]) -> str:
    """A feature with its strongest pictures; the whole of it opens its page."""
    shown = [pictures[d] for d in row.pictures if d in pictures]
    images = "".join(f'<img src="{src}" alt="" loading="lazy">' for src in shown)
    pictured = f'<span class="sb-mosaic">{images}</span>' if shown else blank()
    by = "<em>named by people</em>" if row.name else ""
    notes = " · ".join(facts(row))
    return link(
        href,
        f"{pictured}<b>{title(row)}</b>{by}<small>#{row.feature} · {notes}</small>",
        kind="sb-feature",
    )


def strip(row: FeatureRow, href: str, pictures: Mapping[str, str]) -> str:
    """A feature in a line: its strongest pictures beside each other, what it is called."""
    images = "".join(f'<img src="{pictures[d]}" alt="">' for d in row.pictures if d in pictures)
    notes = f"#{row.feature} · {' · '.join(facts(row))}"
    return link(
        href,
        f'<span class="sb-film">{images}</span><b>{title(row)}</b><small>{notes}</small>',
        kind="sb-side",
    )


def ways(items: Iterable[tuple[str, str, str]]) -> str:
    """A link each to views of which one is to be chosen: (address, name, what it is)."""
    cells = (
        link(href, f"<b>{escape(name)}</b><small>{escape(about)}</small>", kind="sb-way-on")
        for href, name, about in items
    )
    return f'<nav class="sb-ways-on">{"".join(cells)}</nav>'


def blank() -> str:
    """In place of pictures that are not at hand."""
    return '<span class="sb-mosaic sb-blank">no pictures at hand</span>'


def facts(row: FeatureRow) -> list[str]:
    """What stands below a name."""
    out = [f"fires on {share(row.firing_rate)}"]
    if row.activation is not None:
        out.append(f"here {row.activation:.1f} of {row.maximum:.1f}")
    elif row.class_name and row.precision is not None:
        out.append(f"{escape(spoken(row.class_name))} {row.precision:.2f}")
    if row.votes:
        out.append(f"{row.votes:+d} votes".replace("-", "−"))
    return out


def share(value: float) -> str:
    """A share of pictures, with as many digits as tell something."""
    return f"{value:.1%}" if value >= 0.001 else f"{value:.3%}"


def spoken(name: str) -> str:
    """A class as people write it: of ``background=water`` background: water; a label as it is."""
    return name.removeprefix("label=") if name.startswith("label=") else name.replace("=", ": ", 1)


def cards(items: Iterable[str]) -> str:
    """A grid of cards."""
    return f'<div class="sb-features">{"".join(items)}</div>'


def table(
    rows: Sequence[FeatureRow], links: Sequence[str], heads: str, pictures: Mapping[str, str]
) -> str:
    """A line a feature; ``heads`` are the titles of the columns as HTML."""
    lines = "".join(line(row, href, pictures) for row, href in zip(rows, links, strict=True))
    return f'<div class="sb-table"><table><thead><tr>{heads}</tr></thead>{lines}</table></div>'


COLUMNS = (
    "firing_rate",
    "mean",
    "maximum",
    "clarity",
    "polysemanticity",
    "redundancy",
    "label_score",
    "auroc",
    "lift",
)


def line(row: FeatureRow, href: str, pictures: Mapping[str, str]) -> str:
    """One feature of a table."""
    shown = [pictures[d] for d in row.pictures[:3] if d in pictures]
    images = "".join(f'<img src="{src}" alt="">' for src in shown)
    numbers = "".join(f"<td>{cell(name, getattr(row, name))}</td>" for name in COLUMNS)
    best = f"{escape(spoken(row.class_name))} {row.precision:.2f}" if row.precision else ""
    opened = link(href, f"#{row.feature}")
    called = link(href, title(row), kind="sb-called")
    return f"<tr><td>{opened}</td><td>{images}</td><td>{called}</td>{numbers}<td>{best}</td></tr>"


def cell(name: str, value: float | None) -> str:
    """A number of a table."""
    if value is None:
        return "–"
    return share(value) if name == "firing_rate" else f"{value:.2f}"


def head(name: str, href: str, arrow: str) -> str:
    """A column's title, which sorts by it."""
    text = f"{TITLES[name]}{arrow}"
    about = escape(ABOUT.get(name, ""))
    return f'<th title="{about}">{link(href, text, soft="stay")}</th>'


def tiles(values: Iterable[tuple[str, str, str]]) -> str:
    """(title, value, what it means) each."""
    cells = (
        f'<div title="{escape(about)}"><small>{escape(name)}</small><b>{escape(value)}</b></div>'
        for name, value, about in values
    )
    return f'<div class="sb-tiles">{"".join(cells)}</div>'


def pictures(items: Iterable[tuple[str, str, str]]) -> str:
    """(address of the picture, link, caption) each."""
    cells = (
        link(href, f'<figure><img src="{src}" alt="{escape(text)}"><figcaption>{escape(text)}'
                   "</figcaption></figure>")
        for src, href, text in items
    )  # fmt: skip
    return f'<div class="sb-pictures">{"".join(cells)}</div>'


def histogram(counts: Sequence[int], edges: Sequence[float]) -> str:
    """Pictures by response: a bar a bin, as high as the root of its count."""
    there = [i for i, n in enumerate(counts) if n]
    if not there:
        return ""
    first, last = there[0], there[-1]
    top = max(counts) ** 0.5
    bars = "".join(
        f'<i style="height:{max(100 * counts[i] ** 0.5 / top, 2 if counts[i] else 0):.0f}%"'
        f' title="{counts[i]} pictures from {edges[i]:.3g} to {edges[i + 1]:.3g}"></i>'
        for i in range(first, last + 1)
    )
    ends = f"<span>{edges[first]:.2g}</span><span>response</span><span>{edges[last + 1]:.2g}</span>"
    return f'<div class="sb-histogram"><div>{bars}</div><p>{ends}</p></div>'


def detected(classes: Sequence[Detected], links: Sequence[str], pictures: int) -> str:
    """The classes that a feature detects, each with its precision as a bar."""
    if not classes:
        return '<p class="sb-soft">It detects no class of these pictures.</p>'
    lines = "".join(
        f"<span>{link(href, escape(spoken(c.name)))}</span>"
        f'<div class="sb-track" title="chance: {c.positives / max(pictures, 1):.2f}">'
        f'<i class="after" style="width:{c.ap:.1%}"></i></div>'
        f"<span>{c.ap:.2f}</span><span>{c.auroc:.2f}</span><span>{c.lift:.1f}×</span>"
        for c, href in zip(classes, links, strict=True)
    )
    heads = "<b>Class</b><b></b><b>Precision</b><b>AUROC</b><b>Lift</b>"
    return f'<div class="sb-classes">{heads}{lines}</div>'


def small(title_: str, items: Iterable[str]) -> str:
    """Neighbours under a heading."""
    shown = "".join(items)
    none = '<p class="sb-soft">none known</p>'
    return f'<div class="sb-near"><small>{escape(title_)}</small><div>{shown or none}</div></div>'


def neighbour(href: str, src: str, name: str, value: str) -> str:
    """A feature near another one."""
    image = f'<img src="{src}" alt="">' if src else "<i></i>"
    return link(href, f"{image}<span><b>{name}</b><small>{escape(value)}</small></span>")


def remark(author: str, when: str, what: str) -> str:
    """Something that was said."""
    return f"<li><b>{escape(author)}</b> {escape(what)} <small>{escape(when)}</small></li>"


def remarks(lines: Iterable[str]) -> str:
    """Everything that was said, the latest first."""
    return f'<ul class="sb-remarks">{"".join(lines)}</ul>'


def heading(name: str, number: int, dictionary: str) -> str:
    """A feature's page begins with it; ``name`` is HTML."""
    return (
        f'<div class="sb-title"><h1>{name}</h1><span>#{number} of {escape(dictionary)}</span></div>'
    )


def lead(text: str) -> str:
    """What a page says first; ``text`` is HTML."""
    return f'<p class="sb-lead">{text}</p>'


def soft(text: str) -> str:
    """A remark in small grey letters; ``text`` is HTML."""
    return f'<p class="sb-soft">{text}</p>'


def section(text: str) -> str:
    """A heading within a page."""
    return f'<div class="sb-head4">{escape(text)}</div>'
