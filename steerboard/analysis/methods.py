"""Ask by any method of one picture, wherever it runs; ``steerboard.spec.methods`` lists them."""

from steerboard.analysis.located import Located, located
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.methods import METHODS as METHODS
from steerboard.spec.methods import Method as Method
from steerboard.spec.methods import is_labelled
from steerboard.spec.requests import Attribute
from steerboard.spec.runner import Runner


def locate(runner: Runner, request: Attribute) -> Located:
    """Ask by any method of one picture and target, wherever it runs.

    Raises:
        InvalidRequest: No such method, or one that needs more than a picture.
    """
    method = METHODS.get(request.method)
    if method is None:
        raise InvalidRequest(
            f"there is no method {request.method!r}: choose {', '.join(METHODS)}", field="method"
        )
    if is_labelled(method.name):
        raise InvalidRequest(
            f"{method.name} tells labelled pictures apart, and not one: ask it of a set, as a job"
            " with labels",
            field="method",
        )
    if method.side == "model":
        (found,) = runner.attribute(request).one()
        return located(request.method, found)
    composed: Located = method.function()(runner, request)
    return composed
