"""Pieces of HTML that the views put together. Whatever a person may have written is escaped."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from steerboard.analysis.intervals import Rate

STYLE = Path(__file__).with_name("style.css").read_text()
LONG = 14  # characters, from which a card's text is set smaller
STEPS = (
    ("Predict", "Open a picture and see what the model says about it."),
    ("Review", "See which features of a sparse dictionary made it say so, and where they fire."),
    ("Hypothesise", "Write down what you believe goes on, before you try it."),
    ("Test", "Turn features down, off or up, and see at once what the model then says."),
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#|$~<>:])")


def change(value: float) -> str:
    """A signed number with two decimals and a true minus."""
    return f"{value:+.2f}".replace("-", "−")


def plain(text: str) -> str:
    """Text that markdown shows as it is written."""
    return _MARKDOWN.sub(r"\\\1", text)


def brand() -> str:
    """The page's first words."""
    return (
        '<div class="sb-head"><b>Steerboard</b><span>From attribution to action: see why a model'
        " decides, and change it.</span></div>"
    )


def begin_anew() -> str:
    """The link that begins a new session."""
    return (
        '<div class="sb-new"><a href="./" target="_self" title="This session stays under its own'
        ' address">New session</a></div>'
    )


def step(number: int, about: str = "") -> str:
    """The heading of one of the four steps."""
    note = f"<span>{escape(about)}</span>" if about else ""
    return f'<div class="sb-step"><i>{number}</i><h2>{STEPS[number - 1][0]}</h2>{note}</div>'


def welcome() -> str:
    """What the four steps are, for somebody who has not chosen a picture."""
    cells = (f"<div>{step(i + 1)}{escape(about)}</div>" for i, (_, about) in enumerate(STEPS))
    return f'<div class="sb-steps">{"".join(cells)}</div>'


def says(name: str, probability: float) -> str:
    """The model's answer."""
    return (
        f'<div class="sb-says">The model says<b>{escape(name)}</b>with a probability of'
        f" {probability:.1%} among these prompts</div>"
    )


def bars(rows: Iterable[tuple[str, float, float | None]]) -> str:
    """A bar for each (prompt, probability before, probability after or None)."""
    return f'<div class="sb-bars">{"".join(bar(*row) for row in rows)}</div>'


def bar(name: str, before: float, after: float | None) -> str:
    """One prompt: its name, its bar or two, its numbers."""
    tracks, numbers = track(before, "before"), f"{before:.1%}"
    if after is not None:
        tracks += track(after, "after")
        numbers += f" → <b>{after:.1%}</b>"
    shown = escape(name)
    return f'<b title="{shown}">{shown}</b><div>{tracks}</div><span>{numbers}</span>'


def track(share: float, kind: str) -> str:
    """A bar that is filled to ``share`` in [0, 1]."""
    return f'<div class="sb-track"><i class="{kind}" style="width:{share:.2%}"></i></div>'


def card(kind: str, title: str, value: str, note: str) -> str:
    """A large value with its title above and a note below."""
    long = " long" if len(value) > LONG else ""
    return (
        f'<div class="sb-card {kind}{long}"><small>{escape(title)}</small>'
        f"<b>{escape(value)}</b><small>{escape(note)}</small></div>"
    )


def versus(left: str, between: str, right: str) -> str:
    """Two cards side by side."""
    return f'<div class="sb-versus">{left}<i>{between}</i>{right}</div>'


def aside(title: str, note: str) -> str:
    """A small heading inside a step."""
    return f'<div class="sb-aside"><b>{escape(title)}</b><span>{escape(note)}</span></div>'


def groups(rows: Iterable[tuple[str, Rate, Rate]]) -> str:
    """A line a group: its name, fixed of wrong, broken of right."""
    cells = "".join(
        f"<span>{escape(name.capitalize())}</span><span>{fixed.hits} of {fixed.n}</span>"
        f"<span>{broken.hits} of {broken.n}</span>"
        for name, fixed, broken in rows
    )
    head_ = "<b>Group</b><b>Fixed of wrong</b><b>Broken of right</b>"
    return f'<div class="sb-groups">{head_}{cells}</div>'


def changed(title: str, pictures: Sequence[tuple[str, str, str]], count: int) -> str:
    """Some of the pictures whose answer changed: (thumbnail, link, caption) each."""
    cells = "".join(
        f'<a href="{escape(href)}" target="_self" title="{escape(text)}: open this picture">'
        f'<figure><img src="{src}" alt="{escape(text)}">'
        f"<figcaption>{escape(text)}</figcaption></figure></a>"
        for src, href, text in pictures
    )
    more = f"{title}, the first {len(pictures)} of {count}" if len(pictures) < count else title
    return f'<div class="sb-changed"><small>{escape(more)}</small><div>{cells}</div></div>'


def way(features: str, answer: str, note: str) -> str:
    """A suggestion: what is turned off, what the model then says, what else changes."""
    return (
        f'<div class="sb-way"><span>{escape(features)} off: <b>{escape(answer)}</b></span>'
        f"<small>{escape(note)}</small></div>"
    )


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """(CSS colour, meaning) pairs."""
    cells = (
        f'<span><i style="background:{colour}"></i>{escape(text)}</span>'
        for colour, text in entries
    )
    return f'<div class="sb-legend">{"".join(cells)}</div>'


def signed(score: float, largest: float) -> str:
    """A bar to the right of the middle for a positive score, to the left for a negative one."""
    width = 50 * min(1.0, abs(score) / largest) if largest else 0.0
    left, colour = (50.0, "for") if score > 0 else (50 - width, "against")
    style = f"left:{left:.1f}%;width:{width:.1f}%;background:var(--{colour})"
    return f'<div class="sb-signed"><i style="{style}"></i></div>'


def scored(
    title: str,
    score: float,
    largest: float,
    notes: Iterable[str],
    unit: str = "R",
    verdict: str = "",
    link: str = "",
) -> str:
    """A name, its score large and coloured by its sign, its bar, small notes, and a verdict.

    Args:
        title: The name.
        score: What is written and drawn.
        largest: Absolute score that fills the bar.
        notes: What stands below.
        unit: What the score is called.
        verdict: What the exact check says of it.
        link: Address of the unit's page, if it has one.
    """
    colour = "for" if score > 0 else "against"
    small = "".join(f"<small>{escape(note)}</small>" for note in notes)
    if verdict:
        kind = verdict.removeprefix("measured: ").partition(" ")[0]
        small = f'<span class="sb-judged {kind}">{escape(verdict)}</span>{small}'
    return (
        f'<div><div class="sb-id">{linked(title, link)}</div>'
        f'<div class="sb-score {colour}">{change(score)} <em>{escape(unit)}</em></div>'
        f"{signed(score, largest)}{small}</div>"
    )


def linked(text: str, address: str) -> str:
    """Text, as a link where there is an address."""
    if not address:
        return escape(text)
    hint = "Look at it in the catalogue"
    return f'<a href="{escape(address)}" target="_self" title="{hint}">{escape(text)}</a>'


def areas(lines: Sequence[tuple[str, str, float, float, bool]]) -> str:
    """The legend of a check: (ranking, colour, two areas, whether it is on trial) each."""
    rows = "".join(
        f"<tr{' class=own' if own else ''}><th scope=row><i style='background:{colour}'></i>"
        f"{escape(name.replace('_', ' '))}</th><td>{change(fall)}</td><td>{change(rise)}</td></tr>"
        for name, colour, fall, rise, own in lines
    )
    return (
        '<div class="sb-trust"><table><thead><tr><th>ranking by</th><th>deletion</th>'
        f"<th>insertion</th></tr></thead><tbody>{rows}</tbody></table>"
        "<small>Mean change of what is explained along each line: the further below zero deletion"
        " lies, and the further above it insertion, the better the ranking knows what counts."
        "</small></div>"
    )


def feature(
    numbers: str, heat: str, places: str, references: Sequence[tuple[str, str]], none: str
) -> str:
    """A row of the review.

    Args:
        numbers: What ``scored`` made.
        heat: Address of the heat map.
        places: What the map leaves unsaid, in a few words.
        references: Address and tooltip of each reference image.
        none: What stands there where there are none.
    """
    pictures = "".join(
        f'<img src="{src}" alt="{escape(tip)}" title="{escape(tip)}">' for src, tip in references
    )
    shown = (
        f'<div class="sb-refs">{pictures}</div>'
        if references
        else f'<div class="sb-none">{escape(none)}</div>'
    )
    figure = (
        f'<figure><img class="sb-heat" src="{heat}" alt="where the feature adds to the decision">'
        f"<figcaption>{escape(places)}</figcaption></figure>"
    )
    return f'<div class="sb-row">{numbers}{figure}{shown}</div>'


def about(text: str) -> str:
    """A few sentences above what they are about."""
    return f'<div class="sb-about">{escape(text)}</div>'


def stated(what: str, text: str) -> str:
    """A figure in words, and what it means."""
    return f'<div class="sb-about"><b>{escape(what)}</b> {escape(text)}</div>'


def some(title: str, pictures: Sequence[str]) -> str:
    """Some pictures of a kind in a line."""
    shown = "".join(f'<img src="{src}" alt="">' for src in pictures)
    return f'<div class="sb-some"><small>{escape(title)}</small><div>{shown}</div></div>'


def expert(title: str, link: str, precision: float, auroc: float, pictures: Sequence[str]) -> str:
    """A detector of a concept: its name, its AP as a bar, its AUROC, what it answers to."""
    shown = "".join(f'<img src="{src}" alt="">' for src in pictures)
    return (
        f'<div class="sb-expert"><div class="sb-id">{linked(title, link)}</div>'
        f"<div>{track(precision, 'after')}<small>AP {precision:.2f} · AUROC {auroc:.2f}</small>"
        f"</div><div>{shown}</div></div>"
    )


def term(numbers: str, about: str) -> str:
    """A row for what no feature accounts for."""
    return f'<div class="sb-rest">{numbers}<p>{escape(about)}</p></div>'


def verdict(text: str, changed: bool) -> str:
    """The outcome in a sentence."""
    return f'<div class="sb-verdict{" changed" if changed else ""}">{escape(text)}</div>'


def caution(text: str) -> str:
    """Something to be wary of."""
    return f'<div class="sb-over">⚠ {escape(text)}</div>'


def busy(text: str) -> str:
    """Work in hand."""
    return f'<div class="sb-busy" role="status"><i></i>{escape(text)}</div>'


def strip(before: str, after: str) -> str:
    """The outcome in a line at the foot of a narrow page, where its panel is out of sight."""
    return f'<div class="sb-strip">{escape(before)} → <b>{escape(after)}</b></div>'


def strip_away() -> str:
    """The same where there is no outcome."""
    return '<div class="sb-strip">The model has not answered: see below</div>'


def explanation(what: str, signed_: bool, method: str) -> str:
    """What the scores below are about."""
    reads = (
        'Scores in <b class="for">red</b> speak for it, in <b class="against">blue</b> against it;'
        " they balance each other, and none is a share of the answer."
        if signed_
        else f"Scores by {escape(method)} say what is there, and not what it speaks for."
    )
    return f'<div class="sb-about"><b>{escape(what)}</b> {reads}</div>'


def origin(provenance: Mapping[str, object], job: str) -> str:
    """By what these numbers can be had again."""
    known = {
        "model": (provenance.get("model"), provenance.get("model_fingerprint")),
        "dictionary": (provenance.get("dictionary"), provenance.get("dictionary_fingerprint")),
    }
    parts = [f"{kind} {name} ({str(mark)[:10]})" for kind, (name, mark) in known.items() if mark]
    parts += [f"version {provenance['version']}"] if provenance.get("version") else []
    parts += [f"job {job[:10]}"] if job else []
    return f'<div class="sb-origin">{escape(" · ".join(parts))}</div>' if parts else ""
