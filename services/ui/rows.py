"""The ranked units: scores, what was measured of them, where they count, and their sliders."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from services.ui import alone, changing, locating, markup, trusting, units
from services.ui.alone import ANSWER
from services.ui.backend import backend, model
from services.ui.pictures import eye, heat_map, thumbnail
from services.ui.session import feature_address, generation, record, redraw
from steerboard.analysis.trust import verdicts
from steerboard.spec.errors import SteerboardError
from steerboard.spec.jobs import AttributeResult, RankedFeature, Reference
from steerboard.spec.methods import has_parts
from steerboard.store.events import Reviewed
from steerboard.store.how import How

ROWS = 12
STRONGEST = 3  # units that one button turns off
HEAT, REFERENCE = 118, 96  # pixels
STRENGTHS = (("Off", -1.0), ("0", 0.0), ("Double", 1.0))
# What a score is called, where it is not R.
SYMBOLS = {
    "activation": "activation",
    "energy": "energy",
    "integrated_gradients": "IG",
    "ablation": "off",
    "shapley": "Shapley",
    "logit_lens": "cosine",
    "circuit": "edge",
}
UNSIGNED = ("activation", "energy")  # say what is there, not what it speaks for


def note(job: str, found: AttributeResult) -> None:
    """Write down, once, that this ranking was seen."""
    features = tuple(f.feature for f in found.features[:ROWS])
    if st.session_state.get("reviewed") != (job, features):
        st.session_state["reviewed"] = (job, features)
        record(Reviewed(job=job, features=features))


def show(found: AttributeResult, data: bytes, names: tuple[str, ...], how: How, job: str) -> None:
    """The units first, then what no unit accounts for."""
    note(job, found)
    shown = found.features[:ROWS]
    largest = max([abs(f.score) for f in shown] + [abs(found.error)], default=0.0)
    top, quick = st.columns([2.6, 1], vertical_alignment="center")
    top.html(markup.explanation(about(found, names, how), spoken(how), how.method))
    show_strongest(quick, found, how)
    trusting.show(data, found, how)
    pictures = reference_pictures(shown)
    for row, verdict in zip(shown, judged(shown, how), strict=True):
        show_row(row, verdict, data, largest, pictures, how)
    remainder(found, largest, how)
    if origin := markup.origin(found.provenance, job):
        st.html(origin)


def about(found: AttributeResult, names: tuple[str, ...], how: How) -> str:
    """What is explained, and its value."""
    value = markup.change(found.value)
    if found.kind == "unit":
        later = how.later.unit if how.later else None
        fed = units.name_of("", later) if later else "a later unit"
        return f"The activation of {fed}, summed over its tokens, is {value}."
    name = names[found.index]
    if found.against is not None:
        return f"The margin of {name} over {names[found.against]} is {value} logits."
    what = {"log_prob": "log probability", "cosine": "cosine with the text"}.get(
        found.kind, "logit"
    )
    return f"The {what} of {name} is {value}."


def spoken(how: How) -> bool:
    """Whether a score's sign says what it speaks for."""
    return how.method not in UNSIGNED


def show_strongest(
    place: "st.delta_generator.DeltaGenerator", found: AttributeResult, how: How
) -> None:
    """One button for the first units that speak for the answer."""
    strongest = tuple(f.feature for f in found.features if f.score > 0)[:STRONGEST]
    place.button(
        f"Turn the {len(strongest)} strongest off",
        key="strongest",
        disabled=not strongest,
        on_click=turn_off,
        args=(how, strongest),
        width="stretch",
        help="Those that speak most for what is explained.",
    )


def judged(shown: Sequence[RankedFeature], how: How) -> list[str]:
    """A plain word beside each score, from what was measured; empty where nothing was."""
    known = [row for row in shown if row.measured is not None]
    scores = np.array([row.score for row in known])
    measured = np.array([row.measured for row in known], np.float64)
    words = dict(zip([r.feature for r in known], verdicts(scores, measured), strict=True))
    return [words.get(row.feature, "") if spoken(how) else "" for row in shown]


def reference_pictures(shown: tuple[RankedFeature, ...]) -> dict[str, bytes]:
    """All reference images of these rows in one call; none while the library is away."""
    try:
        return backend().album.get(r.image for row in shown for r in row.references)
    except SteerboardError:
        return {}


def show_row(
    row: RankedFeature,
    verdict: str,
    data: bytes,
    largest: float,
    pictures: dict[str, bytes],
    how: How,
) -> None:
    """One unit: numbers, where it counts, what else it answers to, and its slider.

    Args:
        row: The unit.
        verdict: What the exact check says of its score.
        data: The session's picture.
        largest: Absolute score that fills its bar.
        pictures: Reference images by digest, as far as they are at hand.
        how: What its number means.
    """
    with st.container(border=True, key=f"feature-{row.feature}"):
        seen, move_it = st.columns([3.5, 1], vertical_alignment="center")
        title = units.title(how, row.feature, row.label)
        symbol = SYMBOLS.get(how.method, "R")
        numbers = markup.scored(
            title, row.score, largest, facts(row), symbol, verdict, catalogue(row, how)
        )
        held = [(r, pictures[r.image]) for r in row.references if r.image in pictures]
        references = [reference(r, bytes_) for r, bytes_ in held]
        heat = heat_map(data, row.heat, eye(model()), HEAT)
        seen.html(markup.feature(numbers, heat, places(row), references, none(how)))
        with move_it:
            alone.part(named(row.feature), lambda: show_slider(row, how))
        changing.show(row, how)


def catalogue(row: RankedFeature, how: How) -> str:
    """The address of a feature's page in the catalogue; empty where there is none."""
    if how.units != "feature":
        return ""
    return feature_address(locating.dictionary().id, row.feature)


def none(how: How) -> str:
    """What stands where reference images would."""
    if how.units == "feature":
        return "No reference images of this feature are at hand."
    return f"A {how.units} has no reference images: catalogues are of dictionaries."


def places(row: RankedFeature) -> str:
    """How much of the score lies on the picture's patches, which the heat map shows."""
    if not row.heat:
        return "no map: measured as a whole"
    patches = sum(map(sum, row.heat))
    rest = markup.change(row.score - patches)
    return f"patches {markup.change(patches)}, class token {rest}"


def facts(row: RankedFeature) -> list[str]:
    """What stands below a score."""
    found = [f"activation {row.activation:.1f}"]
    if row.standard_error is not None:
        found.insert(0, f"± {row.standard_error:.2f} standard error")
    if row.measured is not None:
        found.append(f"off: {markup.change(-row.measured)} measured")
    if row.firing_rate is not None:
        found.append(f"fires on {row.firing_rate:.1%} of pictures")
    return found


def reference(found: Reference, data: bytes) -> tuple[str, str]:
    """A reference image's address and tooltip."""
    return thumbnail(data, REFERENCE), f"activation {found.activation:.1f}"


def named(index: int) -> str:
    """The part of the page that a unit's slider is."""
    return f"moving-{index}"


def show_slider(row: RankedFeature, how: How) -> None:
    """Strength m in [-1, 1], with Off and Double, and the way to other changes."""
    site, unit = locating.place(how).name, units.unit(how, row.feature)
    now = units.change_of(site, unit)
    value, drawn = units.strength(now), generation(named(row.feature))
    key = f"m-{how.units}-{site}-{row.feature}-{drawn}"
    if value is None and now is not None:
        st.caption(markup.plain(units.said(now)))
    else:
        st.slider(
            "Strength m: -1 is off, 0 unchanged, 1 doubled",
            -1.0,
            1.0,
            value,
            0.05,
            key=key,
            label_visibility="collapsed",
            on_change=lambda: drag(how, row.feature, key, drawn),
        )
    with st.container(key=f"buttons-{row.feature}", horizontal=True):
        for label, m in STRENGTHS:
            st.button(
                label,
                key=f"{label}-{row.feature}",
                type="primary" if value == m and m else "secondary",
                on_click=press,
                args=(how, row.feature, m),
            )
        changing.show_button(row.feature)
    if row.maximum is not None and value and row.peak * (1 + value) > row.maximum:
        st.html(markup.caution("beyond the largest activation known of this feature"))


def drag(how: How, index: int, key: str, drawn: str) -> None:
    """A slider was moved; one that was replaced meanwhile says nothing new."""
    if drawn == generation(named(index)):
        move(how, index, st.session_state[key])
        show_again(index)


def press(how: How, index: int, m: float) -> None:
    """A button sets the slider."""
    redraw(named(index))
    move(how, index, m)
    show_again(index)


def turn_off(how: How, indices: tuple[int, ...]) -> None:
    """Several units off at once."""
    for index in indices:
        redraw(named(index))
        move(how, index, -1.0)
    show_again(*indices)


def move(how: How, index: int, m: float) -> None:
    """Write a new strength down."""
    units.scale(locating.place(how).name, units.unit(how, index), m)


def show_again(*indices: int) -> None:
    """The answer, and these sliders; all, where another row shows a feature's strength as well."""
    if "pinned" in st.session_state:
        alone.whole()
    alone.only(ANSWER, *map(named, indices))


def remainder(found: AttributeResult, largest: float, how: How) -> None:
    """What no listed unit accounts for, as rows of its own, where the method knows it."""
    symbol = SYMBOLS.get(how.method, "R")
    if how.method in ("gradient", "circuit") and how.units == "feature":
        with st.container(border=True, key="error-term"):
            st.html(
                markup.term(
                    markup.scored("Error term", found.error, largest, (), symbol),
                    "What the dictionary does not rebuild. It stays in the model whatever you"
                    " move, and part of what you turn off may come back through it.",
                )
            )
    terms = list[tuple[str, float, str]]()
    if has_parts(how.method):
        others = found.rest + sum(r.score for r in found.features[ROWS:])
        terms.append((f"Other {how.units}s", others, "All that are not listed, together."))
    if how.method in ("gradient", "circuit") and how.units == "feature":
        terms.append(("Bias", found.bias, "The dictionary's constant part."))
    if found.baseline is not None:
        terms.append(("Baseline", found.baseline, "The value from which the scores walk up."))
    if not terms:
        return
    with st.container(border=True, key="other-terms"):
        st.html(
            "".join(
                markup.term(markup.scored(name, value, largest, (), symbol), text)
                for name, value, text in terms
            )
        )
