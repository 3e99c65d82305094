"""Linear probes over a labelled set: a weight for every unit.

``difference``: mean response on positives minus mean on negatives. ``logistic``: the weights of

    minimise  norm(w)^2 / 2 + C sum over n of log(1 + exp(-s_n (w . r_n + b))),   s_n = +1 or -1

with the bias free of the penalty, as scikit-learn's LogisticRegression has it.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from steerboard.analysis.expertise import Labels, check_labels

Floats = npt.NDArray[np.float64]


def difference_of_means(responses: sparse.csc_array, labels: Labels) -> Floats:
    """Mean response on positives minus that on negatives ``[f]``; raises InvalidRequest."""
    check_labels(responses.shape[0], labels)
    sign = np.where(labels, 1 / labels.sum(), -1 / (~labels).sum())
    return np.asarray(sign @ responses, np.float64)


def logistic(responses: sparse.csc_array, labels: Labels, c: float = 1.0) -> tuple[Floats, float]:
    """Weights ``[f]`` and bias of the logistic probe; raises InvalidRequest."""
    check_labels(responses.shape[0], labels)
    rows, sign = responses.tocsr().astype(np.float64), np.where(labels, 1.0, -1.0)

    def loss(point: Floats) -> tuple[float, Floats]:
        margin = sign * (rows @ point[:-1] + point[-1])
        pull = -c * sign * expit(-margin)
        value = c * np.logaddexp(0, -margin).sum() + point[:-1] @ point[:-1] / 2
        return float(value), np.append(pull @ rows + point[:-1], pull.sum())

    start = np.zeros(responses.shape[1] + 1)
    options = {"maxiter": 2000, "maxfun": 20_000, "ftol": 1e-14, "gtol": 1e-8}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return found[:-1], float(found[-1])
