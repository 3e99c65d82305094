"""What is moved in the workbench, saved as a recipe under a name."""

from collections.abc import Mapping

import streamlit as st
from pydantic import ValidationError

from services.ui import recovery
from services.ui.backend import backend, image_sets, model
from services.ui.recipes.merging import bad_name
from services.ui.recipes.pictures import all_cards
from services.ui.recipes.shelf import RECIPE, VERSION, announce, ask_author, require_author, shelf
from services.ui.session import act, session, state, unsaved
from steerboard.recipe.making import make
from steerboard.spec.edits import Condition, Edit, Feature, SteerSet
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError
from steerboard.spec.recipe import SHORT, ChosenOn, Recipe
from steerboard.spec.requests import Classifier
from steerboard.store.events import (
    PictureChosen,
    PictureUploaded,
    Probed,
    RecipeSaved,
)

NOTHING = "(none)"
FORM = "saving-a-recipe"
SAVED = "saved-a-recipe"


def offer(steer: SteerSet, classifier: Classifier) -> None:
    """The button, beside the edits that it saves; the form stays open until it is done with.

    The page is drawn anew behind it whenever the workers have something to tell.
    """
    if saved := st.session_state.pop(SAVED, None):
        recipes = next(p for p in st.session_state["pages"] if p.url_path == "recipes")
        st.switch_page(recipes, query_params=saved)
    st.button(
        "Save as recipe", key="save-recipe", icon=":material/bookmark_add:", on_click=open_form
    )
    if st.session_state.get(FORM):
        form(steer, classifier)


def open_form(opened: bool = True) -> None:
    """Open the form, or close it; for callbacks."""
    st.session_state[FORM] = opened


@st.dialog("Save as recipe", width="medium", on_dismiss=lambda: open_form(False))
def form(steer: SteerSet, classifier: Classifier) -> None:
    """Name, note, what it is to mend, under which condition, and by whom."""
    name = st.text_input(
        "Name",
        key="recipe-name",
        placeholder="no-label-strip",
        max_chars=64,
        help="Small letters, digits, dots, dashes. A name that is taken gets its next version.",
    )
    note = st.text_input("Note", key="recipe-note", placeholder="What it is for", max_chars=300)
    groups = failures_offered(classifier.names)
    chosen = st.selectbox(
        "Which pictures should it mend?",
        list(groups),
        index=usual(groups),
        key="recipe-failures",
        help="Evidence counts fixes among these, and breaks among all others.",
    )
    condition = ask_condition(steer)
    ask_author("recipe-author")
    if not st.button("Save", key="recipe-save", type="primary"):
        return
    try:
        limited = bounded(steer, condition)
        kept = save((name or "").strip(), note or "", limited, classifier, groups[chosen])
    except SteerboardError as error:
        st.error(f"Not saved. {recovery.sentence(error)}")
        return
    open_form(False)
    announce(f"{kept.title} is saved. It is unproven until its evidence is run, on its page.")
    # Gone to by the page itself: a form, which is a fragment, would leave a blank page behind.
    st.session_state[SAVED] = {"s": session(), RECIPE: kept.name, VERSION: str(kept.version)}
    st.rerun()


def failures_offered(classes: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Groups of the library's pictures, then classes; in words, with what they mean."""
    found: dict[str, dict[str, str]] = {}
    try:
        groups = dict.fromkeys(g for s in image_sets() for g in s.groups)
    except SteerboardError:
        groups = {}
    found |= {f"group {name}": {"group": name} for name in groups}
    found |= {f"pictures of {name}": {"label": name} for name in classes}
    return found | {NOTHING: {}}


def usual(groups: Mapping[str, object]) -> int:
    """The group that the open picture is of, else the first."""
    image_set, _, path = state().origin.partition("/")
    try:
        splits = next((s.splits for s in image_sets() if s.id == image_set), ())
        cards = (c for split in splits for c in all_cards(image_set, split))
        card = next((c for c in cards if c.path == path), None)
    except SteerboardError:
        card = None
    wanted = (f"group {card.group}", f"pictures of {card.label}") if card else ()
    names = list(groups)
    return next((names.index(w) for w in wanted if w in names), 0)


def ask_condition(steer: SteerSet) -> Condition | None:
    """Only where a feature is above or below a bound; raises nothing, for nothing need be said."""
    with st.expander("Only where …", key="recipe-condition"):
        st.caption(
            "Limits what else the recipe touches: the edits act only where this feature is active"
            " enough. It must live at the same place of the model as the edits."
        )
        units = dict.fromkeys(e.unit for e in steer.edits if isinstance(e.unit, Feature))
        books = list(dict.fromkeys(u.dictionary for u in units))
        if not st.toggle("Act only where a feature is", key="condition-on", disabled=not books):
            return None
        first = next(iter(units))
        book = st.selectbox("Dictionary", books, key="condition-dictionary")
        left, middle, right = st.columns(3)
        feature = left.number_input("Feature", 0, value=first.index, key="condition-feature")
        when = middle.selectbox("is", ("above", "below"), key="condition-when")
        tau = right.number_input("the activation", value=0.5, key="condition-tau")
        per = st.radio(
            "Compared",
            ("image", "token"),
            format_func={"image": "anywhere on the picture", "token": "place by place"}.__getitem__,
            key="condition-per",
            horizontal=True,
        )
        unit = Feature(dictionary=book or books[0], index=int(feature))
        return Condition.model_validate({"unit": unit, "when": when, "tau": tau, "per": per})


def bounded(steer: SteerSet, condition: Condition | None) -> SteerSet:
    """The edits under a condition; raises InvalidRequest where it lives elsewhere."""
    if condition is None:
        return steer
    assert isinstance(condition.unit, Feature)
    book = model().dictionary(condition.unit.dictionary)
    if book is None or condition.unit.index >= book.size:
        size = book.size - 1 if book else 0
        raise InvalidRequest(
            f"there is no feature #{condition.unit.index}: the last one is #{size}"
        )
    return SteerSet(edits=tuple(under(edit, condition, book.site) for edit in steer.edits))


def under(edit: Edit, condition: Condition, site: str) -> Edit:
    """An edit with the condition, where both live at the same place of the model."""
    return edit.model_copy(update={"condition": condition}) if edit.site == site else edit


def save(
    name: str,
    note: str,
    steer: SteerSet,
    classifier: Classifier,
    failures: Mapping[str, str],
) -> Recipe:
    """Keep it; raises a SteerboardError."""
    who = require_author()
    try:
        recipe = make(
            backend().runner,
            name,
            model().id,
            steer,
            classifier,
            summary=note.strip(),
            failures=failures,
            chosen_on=chosen_on(classifier.names),
            method="moved by hand in the workbench",
        )
    except ValidationError as error:
        raise bad_name(name) from error
    kept = shelf().save(recipe, who).recipe
    act(RecipeSaved, name=kept.name, version=kept.version, digest=kept.digest)
    return kept


def chosen_on(names: tuple[str, ...]) -> tuple[ChosenOn, ...]:
    """The pictures that this session has looked at: those opened, and the probe set once seen.

    They are listed one by one, under no split: evidence leaves out these, and no others.
    """
    events = [*kept_events(), *unsaved()]
    sets: dict[str, set[str]] = {}
    for event in events:
        if isinstance(event, PictureChosen):
            sets.setdefault(event.origin.partition("/")[0], set()).add(event.sha256)
        if isinstance(event, PictureUploaded):
            sets.setdefault("uploads", set()).add(event.sha256)
    if any(isinstance(event, Probed) for event in events):
        for case in backend().deck.get(names):
            sets.setdefault(case.name.partition("/")[0], set()).add(case.key)
    return tuple(
        ChosenOn(image_set=name or "elsewhere", pictures=tuple(sorted({p[:SHORT] for p in own})))
        for name, own in sets.items()
    )


def kept_events() -> list[object]:
    """What the session's log holds; raises Unavailable where the database is away."""
    try:
        return list(backend().store.events(session()))
    except NotFound:
        return []
