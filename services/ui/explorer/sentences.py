"""What is known of a feature, in words."""

from html import escape

from services.ui.explorer.drawing import on_whole
from services.ui.explorer.pieces import ABOUT, SURE, TITLES, share, spoken
from services.ui.explorer.spread import Spread, everywhere, spread
from steerboard.spec.catalogue import CatalogueInfo, Detected, FeatureCard

ALIKE, UNLIKE = 0.5, 0.15  # clarity above and below which it is said
TWICE, SAME = 0.9, 0.9  # polysemanticity, redundancy from which they are said
OFTENER = 1.5  # times as frequent as in all pictures, from which a class is named


def lead(card: FeatureCard, info: CatalogueInfo) -> str:
    """What the numbers say, first of all and as HTML: how often, on what, and where."""
    if dense := everywhere(card):
        return dense
    fired = round(card.firing_rate * info.pictures)
    out = f"Fires on <b>{share(card.firing_rate)}</b> of the pictures ({fired:,} of"
    out += f" {info.pictures:,}){among(card, info.pictures)}."
    if card.classes and card.classes[0].ap >= SURE:
        best = card.classes[0]
        out += (
            f" It detects <b>{escape(spoken(best.name))}</b> with an average precision of"
            f" {best.ap:.2f}; chance is {best.positives / max(info.pictures, 1):.2f}."
        )
    return f"{out} {looks_at(None if on_whole(card) else spread(card))}"


def among(card: FeatureCard, pictures: int) -> str:
    """Which class is more frequent where it fires than elsewhere, as the rest of a sentence."""
    best = card.classes[0] if card.classes else None
    if best is None or best.lift < OFTENER or round(card.firing_rate * pictures) < 2:
        return ""
    return (
        f": {percent(there(best, pictures))} of those are <b>{escape(spoken(best.name))}</b>,"
        f" beside {percent(best.positives / max(pictures, 1))} of all"
    )


def there(best: Detected, pictures: int) -> float:
    """The share of a class among the pictures on which a feature fires."""
    return min(best.lift * best.positives / max(pictures, 1), 1.0)


def percent(value: float) -> str:
    """A share of some pictures, which are too few for more digits."""
    return f"{value:.0%}"


def looks_at(found: Spread | None) -> str:
    """On how much of a picture it fires, and where."""
    if found is None:
        return "It looks at most pictures <b>as a whole</b>: it fires on the class token."
    place = f", mostly {found.place}" if found.place else ""
    part = "patch" if found.patches == 1 else "patches"
    much = "a <b>small part</b> of each" if found.little else "a part of each"
    if 2 * found.patches > found.of:
        much = "most of each"
    return f"It looks at {much}: {found.patches} {part} of {found.of}{place}."


def told(card: FeatureCard, info: CatalogueInfo) -> str:
    """A few sentences as HTML: what to be wary of."""
    fired = round(card.firing_rate * info.pictures)
    out = []
    if card.clarity is not None and card.clarity >= ALIKE:
        out.append("Its strongest pictures have much in common.")
    if card.clarity is not None and card.clarity < UNLIKE:
        out.append("Its strongest pictures have <b>little in common</b>: read its label with care.")
    if card.polysemanticity is not None and card.polysemanticity >= TWICE:
        out.append("They fall into two unlike groups: it may mean two things.")
    if card.redundancy is not None and card.redundancy >= SAME:
        out.append("Another feature points almost the same way: see below.")
    if card.label:
        out.append("Its label goes by its strongest pictures as a whole.")
    elif not (card.classes and card.classes[0].ap >= SURE):
        out.append("No word fits its pictures well enough for a label.")
    if fired < 5:
        out.append("So few pictures say little.")
    return " ".join(out)


def facts(card: FeatureCard) -> list[tuple[str, str, str]]:
    """Title, value and meaning of each statistic."""
    found: list[tuple[str, float | None]] = [
        ("firing_rate", card.firing_rate),
        ("mean", card.mean),
        ("maximum", card.maximum),
        ("clarity", card.clarity),
        ("polysemanticity", card.polysemanticity),
        ("redundancy", card.redundancy),
        ("label_score", card.label_score),
    ]
    return [(TITLES[name], shown(name, value), ABOUT[name]) for name, value in found]


def shown(name: str, value: float | None) -> str:
    """A number with its digits."""
    if value is None:
        return "unknown"
    return share(value) if name == "firing_rate" else f"{value:.2f}"
