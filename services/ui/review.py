"""Step 2, Review: which features made the decision, and what else they answer to."""

import streamlit as st

from services.ui import markup, ranking, recovery
from services.ui.backend import backend, model
from services.ui.pictures import heat_map, thumbnail
from services.ui.predict import prompts
from services.ui.ranking import Ranking
from services.ui.session import act, generation, record, redraw, state
from steerboard.spec.answers import Prediction
from steerboard.spec.capabilities import DictionaryInfo
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.jobs import AttributeJob, AttributeResult, RankedFeature, Reference
from steerboard.spec.requests import Digest, Margin
from steerboard.store.events import DictionaryChosen, FeatureMoved, Reviewed, TargetChosen

ROWS, REFERENCES, TOP_K = 12, 8, 24
STRONGEST = 3  # features that one button turns off
LOOK_S = 0.5  # between looks at a job that runs
HEAT, REFERENCE = 118, 96  # pixels
STRENGTHS = (("Off", -1.0), ("0", 0.0), ("Double", 1.0))


def dictionary() -> DictionaryInfo:
    """The session's dictionary where the model has it, else the model's first one."""
    known = model().dictionaries
    if not known:
        raise NotFound("this model has no dictionary: name one in steerboard.yaml")
    return model().dictionary(state().dictionary) or known[0]


def target(clean: Prediction) -> Margin:
    """The session's margin, or top against runner-up of the clean pass."""
    order = [int(i) for i in clean.logits.argsort()[::-1]]
    index = state().index if state().index in order else order[0]
    against = state().against
    if against not in order or against == index:
        against = next(i for i in order if i != index)
    return Margin(index=index, against=against)


def choose(clean: Prediction, names: tuple[str, ...]) -> Margin:
    """Which decision is explained, through which dictionary."""
    now = target(clean)
    why, against, through = st.columns([1, 1, 1.3])
    # A key for each choice: the boxes follow a decision that is taken elsewhere.
    for column, label, field, place in (
        (why, "Why", "index", now.index),
        (against, "rather than", "against", now.against),
    ):
        column.selectbox(
            label,
            range(len(names)),
            index=place or 0,
            format_func=names.__getitem__,
            key=f"{field}-{place}",
            on_change=take,
            args=(now, field, f"{field}-{place}"),
        )
    labels = {d.id: f"{d.id}: {d.site}, {d.tokens} tokens" for d in model().dictionaries}
    through.selectbox(
        "Dictionary",
        list(labels),
        index=list(labels).index(dictionary().id),
        key="dictionary",
        format_func=labels.__getitem__,
        on_change=lambda: act(DictionaryChosen, dictionary=st.session_state["dictionary"]),
        help="The features are rows of a sparse dictionary, trained at one place of the model.",
    )
    return now


def take(now: Margin, field: str, key: str) -> None:
    """Write the newly chosen pair down; where both would be one, the two change places."""
    pair = {"index": now.index, "against": now.against, field: st.session_state[key]}
    if pair["index"] == pair["against"]:
        pair = {"index": now.against, "against": now.index}
    act(TargetChosen, **pair)


def question(wanted: Margin) -> AttributeJob:
    """What is asked of the workers."""
    return AttributeJob(
        model=model().id,
        image=Digest(sha256=state().picture),
        classifier=prompts(),
        dictionary=dictionary().id,
        target=wanted,
        top_k=TOP_K,
        verify=ROWS,
        references=REFERENCES,
    )


def show(data: bytes, wanted: Margin, names: tuple[str, ...]) -> None:
    """The features; while the workers have not answered, how far they are."""
    now = ranking.current(question(wanted))
    ranking.look(now, data, ranking.GLANCE_S)
    # Two fixed places: rows are drawn where they were, whatever is said above them.
    line, table = st.container(key="line"), st.container(key="rows")
    if now.found is None and now.waiting:
        with line:
            wait(now, data)
        return
    with line:
        found = now.found or stand_in(now, data)
    if found is not None:
        with table:
            rows(found, data, names, now.job if now.found else "")


def wait(now: Ranking, data: bytes) -> None:
    """A line that follows the job without holding up the page."""

    def follow() -> None:
        ranking.look(now, data)
        if not now.waiting:
            st.rerun()
        st.html(markup.busy(f"The workers rank and verify the features: {ranking.stage(now)}"))

    st.fragment(follow, run_every=LOOK_S)()


def stand_in(now: Ranking, data: bytes) -> AttributeResult | None:
    """The runner's own scores, and why the workers have not ranked; None where it is away too."""
    try:
        found = ranking.own_scores(now, data)
    except SteerboardError as error:
        recovery.explain("The features cannot be ranked.", error, backend().runner.models, "rank")
        return None
    pictured = any(f.references for f in found.features)
    missing = "the exact check of each feature" + ("" if pictured else " and its reference images")
    with st.container(key="stand-in"):
        st.warning(
            f"The workers have not ranked these features: {recovery.clause(ranking.reason(now))}"
            f" The scores below are the model's own; what is missing is {missing}."
        )
        if now.failed or now.refused:
            label = "Ask the workers again"
            st.button(label, key="ask-again", on_click=ranking.ask_again, args=(now,))
        else:
            keep_looking(now, data)
    return found


def keep_looking(now: Ranking, data: bytes) -> None:
    """Look quietly every few seconds; the page takes the workers' answer once it is there."""

    def quietly() -> None:
        ranking.look(now, data)
        if now.settled:
            st.rerun()
        st.caption("Their answer is shown here by itself once it is there.")

    st.fragment(quietly, run_every=recovery.EVERY_S)()


def note(job: str, found: AttributeResult) -> None:
    """Write down, once, that this ranking was seen."""
    features = tuple(f.feature for f in found.features[:ROWS])
    if st.session_state.get("reviewed") != (job, features):
        st.session_state["reviewed"] = (job, features)
        record(Reviewed(job=job, features=features))


def rows(found: AttributeResult, data: bytes, names: tuple[str, ...], job: str) -> None:
    """The features first, then what no feature accounts for."""
    note(job, found)
    against = names[found.against] if found.against is not None else "nothing"
    shown = found.features[:ROWS]
    largest = max([abs(f.score) for f in shown] + [abs(found.error)], default=0.0)
    top, quick = st.columns([2.6, 1], vertical_alignment="center")
    top.html(markup.explanation(names[found.index], against, found.value))
    strongest = tuple(f.feature for f in found.features if f.score > 0)[:STRONGEST]
    quick.button(
        f"Turn the {len(strongest)} strongest off",
        key="strongest",
        disabled=not strongest,
        on_click=turn_off,
        args=(dictionary().id, strongest),
        width="stretch",
        help=f"The features that speak most for {markup.plain(names[found.index])}.",
    )
    pictures = reference_pictures(shown)
    for row in shown:
        show_row(row, data, largest, pictures)
    remainder(found, largest)
    if origin := markup.origin(found.provenance, job):
        st.html(origin)


def reference_pictures(shown: tuple[RankedFeature, ...]) -> dict[str, bytes]:
    """All reference images of these rows in one call; none while the library is away."""
    try:
        return backend().album.get(r.image for row in shown for r in row.references)
    except SteerboardError:
        return {}


def show_row(row: RankedFeature, data: bytes, largest: float, pictures: dict[str, bytes]) -> None:
    """One feature: numbers, where it counts, what else it answers to, and its slider.

    Args:
        row: The feature.
        data: The session's picture.
        largest: Absolute score that fills its bar.
        pictures: Reference images by digest, as far as they are at hand.
    """
    with st.container(border=True, key=f"feature-{row.feature}"):
        seen, move_it = st.columns([3.5, 1], vertical_alignment="center")
        title = f"#{row.feature} {row.label}".strip()
        numbers = markup.scored(title, row.score, largest, facts(row))
        held = [(r, pictures[r.image]) for r in row.references if r.image in pictures]
        references = [reference(r, bytes_) for r, bytes_ in held]
        heat = heat_map(data, row.heat, HEAT)
        seen.html(markup.feature(numbers, heat, places(row), references))
        with move_it:
            show_slider(row)


def places(row: RankedFeature) -> str:
    """How much of R lies on the picture's patches, which the heat map shows, and how much not."""
    patches = sum(map(sum, row.heat))
    rest = markup.change(row.score - patches)
    return f"patches {markup.change(patches)}, class token {rest}"


def facts(row: RankedFeature) -> list[str]:
    """What stands below a score."""
    found = [f"activation {row.activation:.1f}"]
    if row.measured is not None:
        agrees = "" if row.measured * row.score > 0 else ", opposite sign"
        found.append(f"off: {markup.change(-row.measured)} measured{agrees}")
    if row.firing_rate is not None:
        found.append(f"fires on {row.firing_rate:.1%} of pictures")
    return found


def reference(found: Reference, data: bytes) -> tuple[str, str]:
    """A reference image's address and tooltip."""
    return thumbnail(data, REFERENCE), f"activation {found.activation:.1f}"


def show_slider(row: RankedFeature) -> None:
    """Strength m in [-1, 1], with Off and Double."""
    name, feature = dictionary().id, row.feature
    value = state().moves.get(name, {}).get(feature, 0.0)
    drawn = generation()
    key = f"m-{name}-{feature}-{drawn}"
    st.slider(
        "Strength m of a feature: -1 is off, 0 unchanged, 1 doubled",
        -1.0,
        1.0,
        value,
        0.05,
        key=key,
        label_visibility="collapsed",
        on_change=lambda: drag(name, feature, key, drawn),
    )
    with st.container(key=f"buttons-{feature}", horizontal=True):
        for label, m in STRENGTHS:
            st.button(
                label,
                key=f"{label}-{feature}",
                type="primary" if value == m and m else "secondary",
                on_click=press,
                args=(name, feature, m),
            )
    if row.maximum is not None and value > 0 and row.peak * (1 + value) > row.maximum:
        st.html(markup.caution("beyond the largest activation known of this feature"))


def drag(name: str, feature: int, key: str, drawn: int) -> None:
    """A slider was moved; one that was replaced meanwhile says nothing new."""
    if drawn == generation():
        move(name, feature, st.session_state[key])


def press(name: str, feature: int, m: float) -> None:
    """A button sets the slider."""
    redraw()
    move(name, feature, m)


def turn_off(name: str, features: tuple[int, ...]) -> None:
    """Several features off at once."""
    for feature in features:
        press(name, feature, -1.0)


def move(name: str, feature: int, m: float) -> None:
    """Write a change of strength down."""
    act(FeatureMoved, dictionary=name, feature=feature, m=m)


def remainder(found: AttributeResult, largest: float) -> None:
    """The error term as a row of its own; then the other terms."""
    with st.container(border=True, key="error-term"):
        st.html(
            markup.term(
                markup.scored("Error term", found.error, largest, ()),
                "What the dictionary does not rebuild. It stays in the model whatever you move,"
                " and part of what you turn off may come back through it.",
            )
        )
    others = found.rest + sum(r.score for r in found.features[ROWS:])
    with st.container(border=True, key="other-terms"):
        st.html(
            markup.term(
                markup.scored("Other features", others, largest, ()),
                "All features that are not listed, together.",
            )
            + markup.term(
                markup.scored("Bias", found.bias, largest, ()), "The dictionary's constant part."
            )
        )
