"""Does R predict what switching off does? (methods, section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from steerboard.analysis.ablation import ablate
from steerboard.analysis.flip import Question
from steerboard.spec.requests import Attribute, ImageRef, Margin, Target
from steerboard.spec.runner import Runner

TOP = 20


@dataclass(frozen=True)
class Faithfulness:
    """Agreement of R with exact ablation, medians over ``images`` pictures.

    ``slope`` is that of the measured effect on R through the origin: 1 where R has the right size.
    """

    images: int
    spearman: float
    slope: float
    sign: float


def agreement(
    predicted: npt.NDArray[np.float64], measured: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """Spearman correlation, slope through the origin, share of equal signs, of two ``[n]``."""
    if np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        rank = 0.0
    else:
        rank = float(spearmanr(predicted, measured).statistic)
    slope = float(predicted @ measured / max(float(predicted @ predicted), 1e-30))
    return rank, slope, float((np.sign(predicted) == np.sign(measured)).mean())


def one_image(
    runner: Runner, question: Question, image: ImageRef, target: Target, top: int = TOP
) -> tuple[float, float, float]:
    """The agreement over the ``top`` largest |R| of one picture."""
    request = Attribute(
        model=question.model,
        images=(image,),
        classifier=question.classifier,
        dictionary=question.dictionary,
        targets=(target,),
        top_k=top,
    )
    (found,) = runner.attribute(request).one()
    q = question
    features = found.features.tolist()
    measured = ablate(runner, q.model, image, q.classifier, q.dictionary, features, found.target)
    return agreement(found.scores.astype(np.float64), measured)


def faithfulness(
    runner: Runner,
    question: Question,
    images: Sequence[ImageRef],
    target: Target | None = None,
    top: int = TOP,
) -> Faithfulness:
    """Medians over pictures; the target is the clean margin unless another is named."""
    wanted = target if target is not None else Margin()
    rows = np.array([one_image(runner, question, image, wanted, top) for image in images])
    spearman, slope, sign = (float(v) for v in np.median(rows, axis=0))
    return Faithfulness(len(images), spearman, slope, sign)
