"""What is known of a recipe: its runs, a new one over a named set, and how far that is."""

import re

import streamlit as st

from services.ui import markup, recovery
from services.ui.backend import AWAY, backend, image_sets
from services.ui.recipes import following, guards, words
from services.ui.recipes.following import Following
from services.ui.recipes.pictures import all_cards, evidence_picture, splits
from services.ui.recipes.shelf import (
    JOB,
    RUN,
    VERSION,
    announce,
    ask_author,
    author,
    require_author,
    shelf,
    when,
)
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.evidence_job import EvidenceJob, chosen_split, unchosen
from steerboard.spec.recipe import EvidenceNote, Recipe
from steerboard.store.recipe_rows import Saved

LOOK_S = 1.0
COUNTED = re.compile(r"(\d+) of ([1-9]\d*) pictures")


def show(saved: Saved, wrong: str) -> None:
    """Runs that there are, a run in progress, and the way to another."""
    st.html("<h4>Evidence</h4>")
    job = st.query_params.get(JOB, "")
    if job:
        progress(saved, following.current(job))
    if not job or saved.recipe.evidence:
        runs(saved)
    for caution in guards.of_evidence(saved):
        st.html(markup.caution(caution))
    if job:
        return
    if wrong:
        st.caption("Evidence cannot be run where the recipe does not fit the model that is served.")
        return
    with st.container(border=True, key="evidence-form"):
        try:
            form(saved.recipe)
        except SteerboardError as error:
            recovery.explain(
                "Evidence cannot be run now.", error, backend().library.image_sets, "evidence"
            )


def runs(saved: Saved) -> None:
    """Each run in a line, newest first, with the way to its report."""
    if not saved.recipe.evidence:
        st.html(
            '<div class="sb-empty"><b>Unproven.</b> Nobody knows yet whether it holds on other'
            " pictures, or what it breaks.</div>"
        )
    own = {ran.note.digest: ran for ran in saved.runs}
    for note in reversed(saved.recipe.evidence):
        ran = own.get(note.digest)
        with st.container(border=True, key=f"run-{note.digest[:12]}"):
            st.html(words.run(ran, note, when(ran.at) if ran else ""))
            if ran and ran.net:
                st.button(
                    "Report",
                    key=f"report-{note.digest[:12]}",
                    icon=":material/lab_profile:",
                    on_click=open_report,
                    args=(saved, note),
                )


def open_report(saved: Saved, note: EvidenceNote) -> None:
    """Show a run's report below; for callbacks. The address names the version that it is about."""
    st.query_params[VERSION] = str(saved.recipe.version)
    st.query_params[RUN] = note.digest


def form(recipe: Recipe) -> None:
    """On which pictures, and off it goes."""
    open_ = [pair for pair in splits() if not chosen_split(recipe, *pair)]
    if not open_:
        st.info("Every image set that is here was used to make this recipe: add another one.")
        return
    sizes = {s.id: s.size for s in image_sets()}
    image_set, split = st.selectbox(
        "Run evidence on",
        open_,
        format_func=lambda pair: f"{pair[0]}, {pair[1] or f'all {sizes[pair[0]]} pictures'}",
        key="evidence-set",
    )
    if not recipe.failures:
        st.caption(
            "This recipe names no pictures that it is to mend: the run counts fixes and breaks over"
            " all of them, and no rate of broken pictures outside."
        )
    ask_author("evidence-author")
    if st.button("Run evidence", key="run-evidence", type="primary", icon=":material/science:"):
        try:
            require_author()
            begin(recipe, image_set, split)
            st.query_params[VERSION] = str(recipe.version)
        except SteerboardError as error:
            what = "Not started yet." if isinstance(error, AWAY) else "Not started."
            st.error(f"{what} {recovery.sentence(error)}")
        else:
            st.rerun()


def begin(recipe: Recipe, image_set: str, split: str) -> None:
    """Hand the run in, and let the address name it; raises a SteerboardError."""
    cards = all_cards(image_set, split)
    if not cards:
        raise InvalidRequest(f"{image_set} has no pictures of split {split!r}: choose another")
    pictures = tuple(evidence_picture(card, recipe.failures) for card in cards)
    left = unchosen(recipe, image_set, split, pictures)
    check_labels(recipe, {p.label for p in left})
    bare = recipe.model_copy(update={"evidence": ()})
    status = backend().jobs.submit(
        EvidenceJob(recipe=bare, image_set=image_set, split=split, images=left)
    )
    # Whoever asks again wants another try at a run that had failed.
    st.session_state.setdefault("evidence-runs", {}).pop(status.id, None)
    st.query_params[JOB] = status.id


def check_labels(recipe: Recipe, labels: set[str]) -> None:
    """Raises InvalidRequest where pictures are of classes that the recipe does not know."""
    unknown = sorted(labels - set(recipe.classifier.names))
    if unknown:
        some = ", ".join(repr(name) for name in unknown[:4])
        raise InvalidRequest(
            f"pictures of this set are labelled {some}, which the recipe's prompts do not name:"
            " choose another set, or save the recipe with these prompts"
        )


def progress(saved: Saved, run: Following) -> None:
    """How far a run is and what it says so far; its end becomes part of the recipe."""
    if run.over:
        ended(saved, run)
        return

    def step() -> None:
        following.look(run)
        if run.over:
            st.rerun()
        with st.container(border=True, key="evidence-progress"):
            draw(run)

    st.fragment(step, run_every=LOOK_S)()


def draw(run: Following) -> None:
    """A bar, a sentence, the counts so far, and the way to take it back."""
    status = run.status
    part = COUNTED.search(status.message) if status is not None and closing(run) else None
    if part:
        st.progress(int(part[1]) / int(part[2]), text=stage(run))
    elif closing(run):
        st.html(markup.busy(stage(run)))
    else:
        st.progress(run.share, text=stage(run))
    if run.trouble is not None:
        st.caption(f"The workers do not answer now: {recovery.clause(run.trouble.message)}")
    counts = following.counted(run.rows)
    if counts.pictures:
        st.html(
            markup.versus(
                markup.card("after", "Fixed so far", str(counts.fixed.hits), of(counts.fixed.n)),
                "",
                markup.card(
                    "broken",
                    "Broken so far",
                    str(counts.broken.hits),
                    f"of {counts.broken.n} right",
                ),
            )
        )
        st.caption(
            f"Net {words.number(counts.net)} per 1,000 over {counts.pictures} pictures so far."
        )
    if status is None or status.state in ("queued", "running"):
        st.button("Cancel", key="cancel-run", on_click=following.cancel, args=(run,))


def of(failing: int) -> str:
    """Below the fixed pictures."""
    return f"of {failing} failing"


def stage(run: Following) -> str:
    """How far it is, in words."""
    status = run.status
    if status is None:
        return "Asking the workers"
    if status.state == "queued":
        return markup.plain(status.message or "Waiting for a worker")
    if closing(run):
        then = status.message or "some of them now under controls and other strengths"
        return f"All pictures are seen; {markup.plain(then)}"
    left = f", about {status.seconds_left:.0f} s left" if status.seconds_left else ""
    return f"{status.done} of {status.total} parts{left}"


def closing(run: Following) -> bool:
    """Whether only the last part is at work, whose progress is in the status's words."""
    status = run.status
    return status is not None and status.state == "running" and status.done >= status.total - 1


def ended(saved: Saved, run: Following) -> None:
    """Keep what a run found; say why one found nothing."""
    if run.found is None:
        state = run.status.state if run.status else "lost"
        reason = reason_of(run)
        text = "The run was cancelled." if state == "cancelled" else f"The run failed: {reason}"
        st.warning(text)
        st.button("Close", key="close-run", on_click=close)
        return
    evidence, note = run.found
    key = (saved.recipe.name, saved.recipe.version)
    known = {ran.note.digest for ran in saved.runs}
    if note.digest not in known:
        try:
            who = author() or "anonymous"
            shelf().note(key, note, evidence, following.plain_rows(run.rows), who)
        except SteerboardError as error:
            recovery.explain("The run is done and not yet kept.", error, shelf().latest, "note")
            return
    close()
    open_report(saved, note)
    announce(f"The evidence of {saved.recipe.title} is in: {note.verdict}. Its report is below.")
    st.rerun()


def reason_of(run: Following) -> str:
    """Why a run failed, as a clause."""
    if run.trouble is not None:
        return recovery.clause(run.trouble.message)
    return recovery.clause((run.status and run.status.message) or "the workers do not say why")


def close() -> None:
    """Forget the run that the address names; for callbacks."""
    if JOB in st.query_params:
        del st.query_params[JOB]
