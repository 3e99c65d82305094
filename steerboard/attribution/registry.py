"""The methods that run beside the model, as functions: those of ``steerboard.spec.methods``.

``peak`` is in no person's list: it is what probe and expertise are composed of.
"""

from collections.abc import Callable, Iterator, Mapping

from steerboard.attribution.peak import peak
from steerboard.attribution.scene import Scene, Scores
from steerboard.spec import methods

Method = Callable[[Scene], Scores]
UNLISTED: dict[str, Method] = {"peak": peak}


class Beside(Mapping[str, Method]):
    """Functions by name, each imported when it is first asked for."""

    def __getitem__(self, name: str) -> Method:
        if name in UNLISTED:
            return UNLISTED[name]
        found = methods.METHODS[name]
        if found.side != "model":
            raise KeyError(name)
        return found.function()

    def __iter__(self) -> Iterator[str]:
        yield from (name for name, m in methods.METHODS.items() if m.side == "model")
        yield from UNLISTED

    def __len__(self) -> int:
        return sum(1 for _ in self)


METHODS = Beside()
