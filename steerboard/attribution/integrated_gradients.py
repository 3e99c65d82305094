"""Integrated gradients over the code (Sundararajan et al., arXiv 1703.01365).

    R_f = sum over t of a_tf * mean over steps k of dy/da_tf at alpha_k a,  alpha_k = (k + 1/2) / n

The path leads from no code at all to the code of the pass, the error term kept. Scores sum to
y(a) - y(0) up to the rule's error, which falls as 1/n^2 where y is smooth (midpoint rule).
"""

from steerboard.attribution.scene import Scene, Scores


def integrated_gradients(scene: Scene) -> Scores:
    """Scores, and the target's value at the beginning of the path as their baseline."""
    alphas = [(k + 0.5) / scene.steps for k in range(scene.steps)]
    mean = scene.climb.gradients(alphas).mean(0) * scene.mask
    code, baseline = scene.code(), scene.climb.value(0.0)
    scores = code * scene.units.slopes(scene.x, mean)
    return Scores(scores, code, total=scene.value - baseline, baseline=baseline)
