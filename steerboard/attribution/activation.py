"""How strongly units fire: ``sum over t of a_tf``. Says nothing about the target."""

from steerboard.attribution.scene import Scene, Scores


def activation(scene: Scene) -> Scores:
    """Scores are the activations themselves."""
    code = scene.code()
    return Scores(code, code)
