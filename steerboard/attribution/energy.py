"""How much of the activation units make up: ``sum over t of a_tf norm(v_f)``."""

from steerboard.attribution.scene import Scene, Scores


def energy(scene: Scene) -> Scores:
    """Scores are activations times the norm of what the unit moves along."""
    code = scene.code()
    return Scores(code * scene.units.sizes(scene.x), code)
