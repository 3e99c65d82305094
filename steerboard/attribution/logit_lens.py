"""Vocabulary projection: what a unit's direction looks like to the classifier.

The direction is read as if it were the last block's output: cosine of its projection with the
target's text (difference of two for a margin). The picture decides only which units are active.
Known not to be faithful: a label and a baseline.
"""

from steerboard.attribution.scene import Scene, Scores


def logit_lens(scene: Scene) -> Scores:
    """Scores ``lens_f``, spread evenly over the tokens where the unit is active."""
    units, code = scene.units, scene.code()
    active = (code != 0).to(code.dtype)
    count = units.totals(active).clamp(min=1).to(code.dtype)
    return Scores(active / units.of_units(count) * units.of_units(scene.lens()), code)
