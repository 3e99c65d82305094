"""The registry of all methods: where each runs, what it answers, what it costs, when it misleads.

A new method is a file with one function, and a line here. What runs beside the model is a function
of a ``Scene`` (``steerboard/attribution``); what is composed of a Runner's answers is one of a
Runner and an ``Attribute`` (``steerboard/analysis``). The shell, the page, jobs and workers follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True)
class Method:
    """What a person should know before choosing.

    Args:
        name: As requests call it.
        side: ``model``: runs beside it. ``runner``: composed of its answers. ``set``: the same,
            and needs labelled pictures or a later unit besides.
        answers: The question that a score answers.
        cost: In passes of the part behind the site, K being ``top_k`` and n the steps.
        misleads: When not to believe it.
        at: ``module:function`` of what asks it of one picture, read when it is first asked; empty
            for what tells labelled pictures apart.
        parts: Scores are parts of a whole, so that those of units not listed have a sum worth
            telling; elsewhere such a sum says nothing.
    """

    name: str
    side: Literal["model", "runner", "set"]
    answers: str
    cost: str
    misleads: str
    at: str = ""
    parts: bool = False

    def function(self) -> Callable[..., Any]:
        """What asks it of one picture."""
        module, _, name = self.at.partition(":")
        found: Callable[..., Any] = getattr(import_module(module), name)
        return found


METHODS = {
    method.name: method
    for method in (
        Method(
            "activation", "model", "How strongly does it fire?", "none",
            "always, about causes: a loud unit need not matter for the target",
            "steerboard.attribution.activation:activation",
        ),
        Method(
            "energy", "model", "How much of the activation does it make up?", "none",
            "as activation; it says what is there, not what it does",
            "steerboard.attribution.energy:energy",
        ),
        Method(
            "gradient", "model", "What would a little less of it do?", "1 forward, 1 backward",
            "where the model saturates: a small step says little about switching off",
            "steerboard.attribution.gradient:gradient", True,
        ),
        Method(
            "integrated_gradients", "model", "What does it add on the way up from no code?",
            "n forward and backward, 1 more forward",
            "where the code is nearly all there is: the path then begins beside zero, which a layer"
            " norm does not like; look at total against the sum",
            "steerboard.attribution.integrated_gradients:integrated_gradients", True,
        ),
        Method(
            "ablation", "runner", "What happens without it?", "K forward",
            "where units stand in for each other: each alone seems not to matter",
            "steerboard.analysis.ablated:ablation",
        ),
        Method(
            "shapley", "runner", "What does it add, on average over all orders?",
            "about 64 (K - 1) forward",
            "among units beyond the top K, which stay on; look at the standard errors",
            "steerboard.analysis.shapley:shapley", True,
        ),
        Method(
            "logit_lens", "model", "Which words does its direction point to?", "none",
            "as an explanation of a picture: later blocks are left out. A label and a baseline",
            "steerboard.attribution.logit_lens:logit_lens",
        ),
        Method(
            "probe", "set", "Which units tell labelled pictures apart, together?",
            "1 forward to the site for each picture",
            "units that go together share a weight; telling apart is not causing",
        ),
        Method(
            "expertise", "set", "Which single unit detects the concept?",
            "1 forward to the site for each picture",
            "negatives that are too easy; a detector need not be used by the model",
        ),
        Method(
            "circuit", "set", "Which earlier units feed a later one?",
            "1 forward, 1 backward for each later unit",
            "as gradient; and a later unit that is off has no edges",
            "steerboard.analysis.circuit:edges", True,
        ),
    )
}  # fmt: skip


def is_composed(name: str) -> bool:
    """Whether a method is composed of steered answers, so that a worker begins by gradient."""
    return name in METHODS and METHODS[name].side == "runner"


def is_labelled(name: str) -> bool:
    """Whether a method tells pictures apart, and is asked of no single one."""
    return name in METHODS and not METHODS[name].at


def has_parts(name: str) -> bool:
    """Whether scores are parts of a whole, and what is not listed a part of it, too."""
    return name in METHODS and METHODS[name].parts


def labelled() -> tuple[str, ...]:
    """All such methods."""
    return tuple(filter(is_labelled, METHODS))
