"""The methods that run beside the model. A new one is a file with one function, and a line here.

``peak`` is in no person's list: it is what probe and expertise are composed of.
"""

from collections.abc import Callable

from steerboard.attribution.activation import activation
from steerboard.attribution.energy import energy
from steerboard.attribution.gradient import gradient
from steerboard.attribution.integrated_gradients import integrated_gradients
from steerboard.attribution.logit_lens import logit_lens
from steerboard.attribution.peak import peak
from steerboard.attribution.scene import Scene, Scores

Method = Callable[[Scene], Scores]
METHODS: dict[str, Method] = {
    "activation": activation,
    "energy": energy,
    "gradient": gradient,
    "integrated_gradients": integrated_gradients,
    "logit_lens": logit_lens,
    "peak": peak,
}
