"""The strongest that units fire: ``max over the tokens that count of a_tf``, where it is reached.

What expertise and probes ask of each picture (methods, section 7). Signed: a neuron that is
negative at every token has a negative one.
"""

from steerboard.attribution.scene import Scene, Scores


def peak(scene: Scene) -> Scores:
    """Scores are the largest activations, each at the first token that reaches it."""
    code = scene.code()
    counts = scene.units.at_tokens(scene.mask) != 0
    raised = scene.units.code(scene.x).masked_fill(~counts, float("-inf"))
    return Scores(code * scene.units.loudest(raised), code)
