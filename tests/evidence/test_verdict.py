"""A recipe is called harmful where both tests of the net say so, and costly where one does."""

import pytest

from steerboard.analysis.evidence.effects import share
from steerboard.analysis.evidence.statistics import mcnemar_exact, tango
from steerboard.analysis.evidence.verdict import judge
from steerboard.spec.evidence import Effect


@pytest.mark.parametrize(
    ("fixes", "breaks", "n", "verdict"), [(6, 15, 179, "costly"), (6, 30, 179, "harmful")]
)
def test_harm_needs_the_exact_test_too(fixes: int, breaks: int, n: int, verdict: str) -> None:
    low, high = (1000 * end for end in tango(fixes, breaks, n))
    overall = Effect.model_construct(
        n=n, fixes=fixes, breaks=breaks, net=1000 * (fixes - breaks) / n, tango=(low, high),
        p=mcnemar_exact(fixes, breaks),
    )  # fmt: skip
    assert high < 0  # Tango alone would call both harmful
    assert judge(overall, share(4, 5), share(breaks, 136), ())[0] == verdict
