"""How units are located, for those who ask: method, units, target and tokens.

The defaults are what a newcomer sees; all else waits behind one line.
"""

from typing import Any

import streamlit as st

from services.ui import directions, later, markup, predict, region
from services.ui.backend import model
from services.ui.session import act, state, tell
from steerboard.spec.capabilities import DictionaryInfo, SiteInfo
from steerboard.spec.errors import NotFound
from steerboard.spec.methods import METHODS, Method, is_labelled
from steerboard.spec.requests import Cosine, Logit, LogProb, Margin, Target
from steerboard.store.events import HowChosen
from steerboard.store.how import How

UNITS = {
    "feature": "features of the dictionary",
    "neuron": "neurons",
    "head": "attention heads",
    "direction": "directions of your own",
}
TARGETS = {
    "margin": "margin of the two",
    "logit": "logit of the first",
    "log_prob": "its log probability",
    "cosine": "cosine with its text",
}


def dictionary() -> DictionaryInfo:
    """The session's dictionary where the model has it, else the model's first one."""
    known = model().dictionaries
    if not known:
        raise NotFound("this model has no dictionary: name one in steerboard.yaml")
    return model().dictionary(state().dictionary) or known[0]


def how() -> How:
    """The session's choices, as far as the served model has them."""
    now = state().how
    if now.units != "feature" and not any(s.name == now.site for s in sites(now.units)):
        now = now.model_copy(update={"units": "feature", "site": "", "directions": None})
    if now.method not in METHODS or is_labelled(now.method):
        now = now.model_copy(update={"method": "gradient"})
    if now.method == "circuit" and now.later is None:
        now = now.model_copy(update={"method": "gradient"})
    return now


def place(now: How) -> SiteInfo:
    """Where the units stand; raises NotFound."""
    name = dictionary().site if now.units == "feature" else now.site
    found = model().site(name)
    if found is None:
        raise NotFound(f"this model has no site {name!r}", field="site")
    return found


def sites(units: str) -> list[SiteInfo]:
    """Where there are such units; neurons are those between the two layers of an MLP."""
    known = [s for s in model().sites if units in s.units]
    return [s for s in known if s.name.startswith("mlp_post")] if units == "neuron" else known


def target(decision: Margin, now: How) -> Target:
    """What is explained: the decision as it was asked for."""
    match now.target:
        case "logit":
            return Logit(index=decision.index)
        case "log_prob":
            return LogProb(index=decision.index)
        case "cosine":
            return Cosine(index=decision.index)
    return decision


def asked(decision: Margin, now: How) -> dict[str, Any]:
    """The fields of a job or a request that follow from the choices."""
    features = now.units == "feature"
    explained = now.later if now.method == "circuit" and now.later else target(decision, now)
    return {
        "dictionary": dictionary().id if features else "",
        "site": None if features else now.site,
        "units": now.units,
        "directions": now.directions if now.units == "direction" else None,
        "method": now.method,
        "target": explained,
        "tokens": now.tokens,
        "steps": now.steps,
    }


def choose(**changes: Any) -> None:
    """Write a choice down."""
    act(HowChosen, how=state().how.model_copy(update=changes))


def show(data: bytes, decision: Margin) -> None:
    """One line that says how; opened, all that can be chosen."""
    now = how()
    with st.expander(f"How it is located: {words(now, decision)}", key="how"):
        show_method(now, data, decision)
        left, right = st.columns(2, gap="medium")
        with left:
            show_units(now, decision)
            show_target(now)
        with right:
            region.show(data, now, place(now), dictionary())
        if not state().how.usual:
            st.button(
                "The usual way again", key="usual", icon=":material/undo:", on_click=usual_again
            )


def words(now: How, decision: Margin) -> str:
    """The choices in a few words, the classes of the decision by name."""
    where = dictionary().id if now.units == "feature" else now.site
    what = f"{now.units}s of {where}" if now.units == "feature" else f"{now.units}s at {where}"
    aim = "a later feature" if now.method == "circuit" else aimed(target(decision, now))
    parts = (now.method.replace("_", " "), what, aim, region.words(now.tokens, model().grid))
    return markup.plain(", ".join(parts))


def aimed(wanted: Target) -> str:
    """What is explained, such as ``margin of owl over cat``."""
    names = predict.prompts().names
    classes = (getattr(wanted, end, None) for end in ("index", "against"))
    said = " over ".join(names[i] for i in classes if i is not None)
    return f"{wanted.kind.replace('_', ' ')} of {said}" if said else wanted.kind


def usual_again() -> None:
    """As a newcomer has it."""
    act(HowChosen, how=How())


def show_method(now: How, data: bytes, decision: Margin) -> None:
    """All methods, with what each answers and costs; below, when the chosen one misleads."""
    key = f"method-{now.method}"
    st.selectbox(
        "Method",
        list(METHODS),
        index=list(METHODS).index(now.method),
        format_func=lambda name: in_a_line(METHODS[name]),
        key=key,
        on_change=lambda: take_method(st.session_state[key], data, decision),
    )
    if wish := st.session_state.get("labelled"):
        show_labelled(METHODS[wish])
        return
    st.caption(f"Misleads {markup.plain(METHODS[now.method].misleads)}.")
    if now.method == "integrated_gradients":
        st.select_slider(
            "Steps",
            (8, 16, 32, 64, 128),
            value=now.steps if now.steps in (8, 16, 32, 64, 128) else 16,
            key=f"steps-{now.steps}",
            on_change=lambda: choose(steps=st.session_state[f"steps-{now.steps}"]),
        )
    if now.method == "circuit":
        later.show(now, dictionary(), data, decision)


def in_a_line(method: Method) -> str:
    """Such as ``ablation: What happens without it? (K forward)``."""
    return f"{method.name.replace('_', ' ')}: {method.answers} ({method.cost})"


def take_method(name: str, data: bytes, decision: Margin) -> None:
    """A method for one picture is taken; one for labelled pictures leads to the concepts."""
    st.session_state["labelled"] = name if is_labelled(name) else ""
    if name == "circuit":
        if (fed := later.first(dictionary(), data, decision)) is None:
            tell("No dictionary stands behind this one: a circuit begins at an earlier one.")
            return
        choose(method=name, units="feature", later=fed)
    elif not is_labelled(name):
        choose(method=name)


def show_labelled(method: Method) -> None:
    """Where the methods over labelled pictures are."""
    st.caption(
        f"{markup.plain(method.name)} tells labelled pictures apart, not one: name a concept by"
        " its pictures, and see which features know it."
    )
    found = [p for p in st.session_state.get("pages", ()) if p.url_path == "concepts"]
    if found:
        st.page_link(found[0], label="Open the concepts", icon=":material/category:")


def show_target(now: How) -> None:
    """What is differentiated or measured."""
    if now.method == "circuit":
        return
    key = f"target-{now.target}"
    st.selectbox(
        "Target",
        list(TARGETS),
        index=list(TARGETS).index(now.target),
        format_func=TARGETS.__getitem__,
        key=key,
        on_change=lambda: choose(target=st.session_state[key]),
        help="The margin asks what decides between two answers; the others ask about one.",
    )


def show_units(now: How, decision: Margin) -> None:
    """Which units, and at which place where no dictionary says so."""
    key = f"units-{now.units}"
    st.selectbox(
        "Units",
        list(UNITS),
        index=list(UNITS).index(now.units),
        format_func=UNITS.__getitem__,
        key=key,
        on_change=lambda: take_units(st.session_state[key], decision),
    )
    if now.units == "direction":
        directions.show(now)
    elif now.units != "feature":
        names = [s.name for s in sites(now.units)]
        place_key = f"site-{now.site}"
        st.selectbox(
            "Place",
            names,
            index=names.index(now.site),
            key=place_key,
            on_change=lambda: choose(site=st.session_state[place_key]),
        )


def take_units(units: str, decision: Margin) -> None:
    """Units begin beside the dictionary; directions begin with the words of the decision."""
    if units == "feature":
        choose(units=units, site="", directions=None, words=())
    elif units == "direction":
        directions.begin(decision)
    elif known := sites(units):
        block = dictionary().site.rpartition(".")[2]
        beside = [s.name for s in known if s.name.endswith(f".{block}")]
        method = "gradient" if state().how.method == "circuit" else state().how.method
        choose(units=units, site=(beside or [known[-1].name])[0], method=method)
