"""What is known of a feature, in words."""

from html import escape

from services.ui.explorer.drawing import on_little
from services.ui.explorer.pieces import ABOUT, SURE, TITLES, share, spoken
from services.ui.explorer.spread import everywhere
from steerboard.spec.catalogue import CatalogueInfo, FeatureCard

ALIKE, UNLIKE = 0.5, 0.15  # clarity above and below which it is said
TWICE, SAME = 0.9, 0.9  # polysemanticity, redundancy from which they are said


def told(card: FeatureCard, info: CatalogueInfo) -> str:
    """A few sentences as HTML: how often, what, and what to be wary of."""
    fired = round(card.firing_rate * info.pictures)
    many = "1 picture" if fired == 1 else f"{fired:,} pictures"
    dense = everywhere(card)
    out = [dense or f"Fires on <b>{many}</b> of {info.pictures:,} ({share(card.firing_rate)})."]
    if card.classes and card.classes[0].ap >= SURE:
        best = card.classes[0]
        out.append(
            f"It detects <b>{escape(spoken(best.name))}</b>: average precision"
            f" {best.ap:.2f}, where chance is {best.positives / max(info.pictures, 1):.2f}."
        )
    if card.clarity is not None and card.clarity >= ALIKE:
        out.append("Its strongest pictures have much in common.")
    if card.clarity is not None and card.clarity < UNLIKE:
        out.append("Its strongest pictures have <b>little in common</b>: read its label with care.")
    if card.polysemanticity is not None and card.polysemanticity >= TWICE:
        out.append("They fall into two unlike groups: it may mean two things.")
    if card.redundancy is not None and card.redundancy >= SAME:
        out.append("Another feature points almost the same way: see below.")
    if on_little(card) and not dense:
        rest = ": its label goes by the whole pictures" if card.label else ""
        out.append(f"It fires on a <b>small part</b> of each picture; look close{rest}.")
    if not card.label:
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
