"""Step 2, Review: which units made the decision, and what else they answer to."""

import streamlit as st
from pydantic import ValidationError

from services.ui import locating, markup, ranking, recovery, rows
from services.ui.backend import backend, model
from services.ui.locating import dictionary
from services.ui.predict import prompts
from services.ui.ranking import Ranking
from services.ui.session import act, state
from steerboard.spec.answers import Prediction
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.jobs import AttributeJob, AttributeResult
from steerboard.spec.methods import is_composed
from steerboard.spec.requests import Digest, Margin
from steerboard.store.events import DictionaryChosen, TargetChosen
from steerboard.store.how import How

REFERENCES, TOP_K = 8, 24
PLAYERS = 12  # of Shapley values, whose price grows with their square
LOOK_S = 0.5  # between looks at a job that runs


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


def question(wanted: Margin, now: How) -> AttributeJob:
    """What is asked of the workers; raises InvalidRequest."""
    try:
        return AttributeJob(
            model=model().id,
            image=Digest(sha256=state().picture),
            classifier=prompts(),
            top_k=PLAYERS if now.method == "shapley" else TOP_K,
            verify=0 if now.method == "circuit" else rows.ROWS,
            references=REFERENCES if now.units == "feature" else 0,
            **locating.asked(wanted, now),
        )
    except ValidationError as error:
        said = "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise InvalidRequest(said) from error


def show(data: bytes, wanted: Margin, names: tuple[str, ...]) -> None:
    """The units; while the workers have not answered, how far they are."""
    how = locating.how()
    try:
        now = ranking.current(question(wanted, how))
    except InvalidRequest as error:
        st.error(f"These units cannot be ranked: {recovery.clause(error.message)}")
        return
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
        used = how if now.found else how.model_copy(update={"method": ranking.own_method(how)})
        with table:
            rows.show(found, data, names, used, now.job if now.found else "")


def wait(now: Ranking, data: bytes) -> None:
    """A line that follows the job without holding up the page."""

    def follow() -> None:
        ranking.look(now, data)
        if not now.waiting:
            st.rerun()
        st.html(markup.busy(f"The workers rank and verify the units: {ranking.stage(now)}"))

    st.fragment(follow, run_every=LOOK_S)()


def stand_in(now: Ranking, data: bytes) -> AttributeResult | None:
    """The runner's own scores, and why the workers have not ranked; None where it is away too."""
    try:
        found = ranking.own_scores(now, data)
    except SteerboardError as error:
        recovery.explain("The features cannot be ranked.", error, backend().runner.models, "rank")
        return None
    with st.container(key="stand-in"):
        if is_composed(now.spec.method) and not (now.failed or now.refused or now.trouble):
            slowly(now, data)
            return found
        say_why(now, found)
        if now.failed or now.refused:
            label = "Ask the workers again"
            st.button(label, key="ask-again", on_click=ranking.ask_again, args=(now,))
        else:
            keep_looking(now, data)
    return found


def say_why(now: Ranking, found: AttributeResult) -> None:
    """What is missing while the workers do not answer."""
    pictured = any(f.references for f in found.features) or not now.spec.references
    missing = "the exact check of each feature" + ("" if pictured else " and its reference images")
    instead = " by gradient" if is_composed(now.spec.method) else ""
    st.warning(
        f"The workers have not ranked these features: {recovery.clause(ranking.reason(now))}"
        f" The scores below are the model's own{instead}; what is missing is {missing}."
    )


def slowly(now: Ranking, data: bytes) -> None:
    """A method that takes long goes on behind the page, which shows gradients meanwhile."""
    name = now.spec.method

    def follow() -> None:
        ranking.look(now, data)
        if now.settled:
            st.rerun()
        st.html(
            markup.busy(
                f"Scores by {name} are on their way ({ranking.stage(now)}); meanwhile these are by"
                " gradient. Go on: nothing here waits for them."
            )
        )

    st.fragment(follow, run_every=LOOK_S)()


def keep_looking(now: Ranking, data: bytes) -> None:
    """Look quietly every few seconds; the page takes the workers' answer once it is there."""

    def quietly() -> None:
        ranking.look(now, data)
        if now.settled:
            st.rerun()
        st.caption("Their answer is shown here by itself once it is there.")

    st.fragment(quietly, run_every=recovery.EVERY_S)()
