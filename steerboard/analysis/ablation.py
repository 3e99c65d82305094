"""The exact effect of switching units off, one at a time (methods, section 3)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from steerboard.spec.answers import ResolvedTarget
from steerboard.spec.edits import scale
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.requests import (
    Classifier,
    Cosine,
    ImageRef,
    Logit,
    LogProb,
    Margin,
    Steer,
    Target,
)
from steerboard.spec.runner import Runner


def frozen(target: ResolvedTarget) -> Target:
    """A resolved target as a request that leaves nothing open.

    Raises:
        InvalidRequest: A probe or a unit, which an answer does not hold; see ``measuring``.
    """
    match target.kind:
        case "cosine":
            return Cosine(index=target.index)
        case "log_prob":
            return LogProb(index=target.index)
        case "logit":
            if target.against is None:
                return Logit(index=target.index)
            return Margin(index=target.index, against=target.against)
    raise InvalidRequest(
        f"a target of kind {target.kind} is not known from its answer: ask with the target itself",
        field="targets[0]",
    )


def ablate(
    runner: Runner,
    model: str,
    image: ImageRef,
    classifier: Classifier,
    dictionary: str,
    features: Sequence[int],
    target: ResolvedTarget,
) -> npt.NDArray[np.float64]:
    """``y - y(feature off)`` for each of ``features``, ``[n]``; one batch of n suffixes."""
    if not len(features):
        return np.zeros(0)
    site = site_of(runner, model, dictionary)
    request = Steer(
        model=model,
        images=(image,),
        classifier=classifier,
        steer_sets=tuple(scale(site, dictionary, -1.0, int(f)) for f in features),
        targets=(frozen(target),),
    )
    return -runner.steer(request).one().measured[:, 0].astype(np.float64)


def site_of(runner: Runner, model: str, dictionary: str) -> str:
    """Where a dictionary stands; raises NotFound for an unknown one."""
    found = runner.model(model).dictionary(dictionary)
    if found is None:
        raise NotFound(f"model {model} has no dictionary {dictionary!r}", field="dictionary")
    return found.site
