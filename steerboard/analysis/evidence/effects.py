"""From rows to fixes, breaks and net, with intervals and tests; per group, per class, in flows."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from steerboard.analysis.evidence.rows import Row
from steerboard.analysis.evidence.statistics import (
    cluster_bootstrap,
    mcnemar_exact,
    newcombe,
    tango,
)
from steerboard.analysis.intervals import clopper_pearson
from steerboard.spec.evidence import Effect, Example, Flow, Ripple, Share, Spread

FLOWS, EXAMPLES = 24, 12
THOUSAND = 1000.0


def share(hits: int, n: int) -> Share:
    """A rate with its Clopper-Pearson interval."""
    low, high = clopper_pearson(hits, n)
    return Share(hits=hits, n=n, low=low, high=high)


def mean_share(found: Sequence[Sequence[bool]]) -> Share:
    """A rate over pictures that were asked several times each: the mean of their own rates.

    ``hits`` and ``n`` count all askings. Those of one picture are not independent, so the interval
    is Clopper and Pearson's for as many pictures: it supposes nothing of how alike askings are,
    and is at least as wide as it need be.
    """
    pictures, n = len(found), sum(map(len, found))
    low, high = clopper_pearson(sum(float(np.mean(one)) for one in found), pictures)
    return Share(hits=sum(map(sum, found)), n=n, low=low, high=high)


def effect(name: str, rows: Sequence[Row], seed: int = 0) -> Effect:
    """Fixes, breaks and net over ``rows``; per 1,000 pictures."""
    n = len(rows)
    fixes, breaks = sum(r.fixed for r in rows), sum(r.broken for r in rows)
    right = sum(r.before == r.truth for r in rows)
    both = right - breaks
    scenes = cluster_bootstrap(
        [r.fixed - r.broken for r in rows], [r.scene for r in rows], seed=seed
    )
    return Effect(
        name=name,
        n=n,
        fixes=fixes,
        breaks=breaks,
        fix_rate=share(fixes, n - right),
        break_rate=share(breaks, right),
        accuracy_before=share(right, n),
        accuracy_after=share(right + fixes - breaks, n),
        net=THOUSAND * (fixes - breaks) / n if n else 0.0,
        newcombe=thousands(newcombe(both, fixes, breaks, n - both - fixes - breaks)),
        tango=thousands(tango(fixes, breaks, n)),
        scenes=thousands(scenes) if np.isfinite(scenes[0]) else None,
        p=mcnemar_exact(fixes, breaks),
    )


def thousands(interval: tuple[float, float]) -> tuple[float, float]:
    """Per 1,000 pictures."""
    return THOUSAND * interval[0], THOUSAND * interval[1]


def effects_by(rows: Sequence[Row], key: Callable[[Row], str], seed: int = 0) -> tuple[Effect, ...]:
    """One effect a value of ``key``, by name."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    return tuple(effect(name, parts[name], seed) for name in sorted(parts))


def worst(effects: Sequence[Effect]) -> str:
    """The group with the lowest accuracy afterwards; the first of equals, empty for none."""
    found = min(effects, key=lambda e: e.accuracy_after.value, default=None)
    return found.name if found else ""


def spread(values: Sequence[float]) -> Spread:
    """Mean, median and 95th percentile; zeros for no values."""
    if not values:
        return Spread(mean=0.0, median=0.0, p95=0.0)
    found = np.asarray(values, np.float64)
    median, p95 = np.quantile(found, [0.5, 0.95])
    return Spread(mean=float(found.mean()), median=float(median), p95=float(p95))


def ripple(rows: Sequence[Row], names: Sequence[str], words: int) -> Ripple:
    """What else moved over ``rows``, a wide vocabulary of ``words`` among it."""
    return Ripple(
        pictures=len(rows),
        kl=spread([r.kl for r in rows]),
        tv=spread([r.tv for r in rows]),
        wide_words=words,
        wide_kl=spread([r.wide_kl for r in rows]) if words else None,
        wide_tv=spread([r.wide_tv for r in rows]) if words else None,
        drift=spread([r.drift for r in rows]),
        flows=flows(rows, names),
    )


def flows(rows: Sequence[Row], names: Sequence[str], most: int = FLOWS) -> tuple[Flow, ...]:
    """Which class became which, the largest first."""
    counted = Counter((r.before, r.after) for r in rows if r.before != r.after)
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:most]
    return tuple(Flow(source=names[a], target=names[b], count=n) for (a, b), n in ranked)


def flow_matrix(rows: Sequence[Row], classes: int) -> npt.NDArray[np.int64]:
    """Pictures by class before and class after, ``[c, c]``."""
    found = np.zeros((classes, classes), np.int64)
    np.add.at(found, ([r.before for r in rows], [r.after for r in rows]), 1)
    return found


def examples(
    rows: Sequence[Row], names: Sequence[str], broken: bool, most: int = EXAMPLES
) -> tuple[Example, ...]:
    """The breaks (or fixes) that moved the true class's probability most."""
    chosen = [r for r in rows if (r.broken if broken else r.fixed)]
    ranked = sorted(chosen, key=lambda r: (-abs(r.chance_after - r.chance_before), r.key))
    return tuple(
        Example(
            key=r.key,
            digest=r.digest,
            truth=names[r.truth],
            before=names[r.before],
            after=names[r.after],
            chance_before=r.chance_before,
            chance_after=r.chance_after,
        )
        for r in ranked[:most]
    )
