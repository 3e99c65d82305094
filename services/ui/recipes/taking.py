"""Taking a recipe out of the page: into a program of one's own, or into weights."""

import streamlit as st

from services.ui.backend import image_sets
from steerboard.recipe.files import SUFFIX
from steerboard.spec.errors import SteerboardError
from steerboard.spec.recipe import Recipe
from steerboard.store.recipe_rows import Saved

LAST = {"validation": -1, "test": 1}  # what is fitted on comes first, what is told of last
BLOCK = "resid_post."  # outputs of blocks, whose MLP can take a change in


def file_of(recipe: Recipe) -> str:
    """What the exported file is called."""
    return f"{recipe.name}-v{recipe.version}{SUFFIX}"


def show(saved: Saved) -> None:
    """The ways, each as one writes it, for the file that ``Export`` gives."""
    recipe = saved.recipe
    with st.expander("Use it elsewhere", icon=":material/output:", key="elsewhere"):
        if recipe.status == "unproven":
            st.caption("It is unproven: run its evidence before anything relies on it.")
        st.caption("Export it. In a program of your own, on a plain open_clip model, no server:")
        st.code(program(recipe), language="python", wrap_lines=True)
        if any(not edit.site.startswith(BLOCK) for edit in recipe.steer.edits):
            st.caption("It cannot be baked into weights: an edit is not at a block's output.")
            return
        st.caption(
            "Baked into weights: an ordinary open_clip checkpoint, fitted on one split and set"
            " beside the live recipe on another. On the machine that holds the model:"
        )
        st.code(baking(recipe), language="bash", wrap_lines=True)


def program(recipe: Recipe) -> str:
    """``steerboard.apply`` with this recipe's dictionaries."""
    names = dict.fromkeys(pin.id for pin in recipe.provenance.dictionaries)
    files = ", ".join(f'"{name}": "{name}.safetensors"' for name in names)
    given = f", {{{files}}}" if files else ""
    return (
        "import steerboard\n\n"
        f'with steerboard.apply(model.eval(), "{file_of(recipe)}"{given}):\n'
        "    model.encode_image(pixels)"
    )


def baking(recipe: Recipe) -> str:
    """The command, with splits of a set that is here."""
    name, fit, report = sets()
    return (
        f"steerboard recipe bake {file_of(recipe)} --config FOLDER --images {name}"
        f" --split {fit} --report-split {report} -o {recipe.name}-v{recipe.version}-baked"
    )


def sets() -> tuple[str, str, str]:
    """An image set, a split to fit on and another to compare on; placeholders for what lacks."""
    try:
        found = [s for s in image_sets() if len(s.splits) > 1]
    except SteerboardError:
        found = []
    if not found:
        return "SET", "SPLIT", "OTHER-SPLIT"
    splits = sorted(found[0].splits, key=lambda split: LAST.get(split, 0))
    return found[0].id, splits[0], splits[-1]
