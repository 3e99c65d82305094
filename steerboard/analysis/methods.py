"""The list of all methods: where each runs, what it answers, what it costs, when it misleads.

A new one is a file with one function and a line here; one that needs the model's insides has its
line in ``steerboard/attribution/registry.py`` as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

from steerboard.analysis.ablated import ablation
from steerboard.analysis.circuit import edges
from steerboard.analysis.located import Located, located
from steerboard.analysis.shapley import shapley
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.requests import Attribute
from steerboard.spec.runner import Runner

Composed = Callable[[Runner, Attribute], Located]


@dataclass(frozen=True)
class Method:
    """What a person should know before choosing.

    Args:
        name: As requests call it.
        side: ``model``: runs beside it. ``runner``: composed of its answers. ``set``: the same,
            and needs labelled pictures or later units besides.
        answers: The question that a score answers.
        cost: In passes of the part behind the site, K being ``top_k`` and n the steps.
        misleads: When not to believe it.
        compose: For side ``runner``.
    """

    name: str
    side: str
    answers: str
    cost: str
    misleads: str
    compose: Composed | None = None


METHODS = {
    method.name: method
    for method in (
        Method(
            "activation", "model", "How strongly does it fire?", "none",
            "always, about causes: a loud unit need not matter for the target",
        ),
        Method(
            "energy", "model", "How much of the activation does it make up?", "none",
            "as activation; it says what is there, not what it does",
        ),
        Method(
            "gradient", "model", "What would a little less of it do?", "1 forward, 1 backward",
            "where the model saturates: a small step says little about switching off",
        ),
        Method(
            "integrated_gradients", "model", "What does it add on the way up from no code?",
            "n forward and backward, 1 more forward",
            "where the code is nearly all there is: the path then begins beside zero, which a layer"
            " norm does not like; look at total against the sum",
        ),
        Method(
            "ablation", "runner", "What happens without it?", "K forward",
            "where units stand in for each other: each alone seems not to matter",
            ablation,
        ),
        Method(
            "shapley", "runner", "What does it add, on average over all orders?",
            "about 64 (K - 1) forward",
            "among units beyond the top K, which stay on; look at the standard errors",
            shapley,
        ),
        Method(
            "logit_lens", "model", "Which words does its direction point to?", "none",
            "as an explanation of a picture: later blocks are left out. A label and a baseline",
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
            edges,
        ),
    )
}  # fmt: skip


def locate(runner: Runner, request: Attribute) -> Located:
    """Ask by any method of one picture and target, wherever it runs.

    Raises:
        InvalidRequest: No such method, or one that needs more than a picture.
    """
    method = METHODS.get(request.method)
    if method is None:
        raise InvalidRequest(
            f"there is no method {request.method!r}: choose {', '.join(METHODS)}", field="method"
        )
    if method.compose is not None:
        return method.compose(runner, request)
    if method.side == "set":
        raise InvalidRequest(
            f"{method.name} tells labelled pictures apart, and not one: ask it of a set, as a job"
            " with labels",
            field="method",
        )
    (found,) = runner.attribute(request).one()
    return located(request.method, found)
