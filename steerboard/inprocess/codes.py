"""Codes of top-k dictionaries, kept by picture and site.

A point-wise feature costs one column of the encoder. A feature of a top-k kind costs a whole
encoding, because the others decide whether it is among the k: so what was kept of the unedited
activations is remembered, sparse, and a slider that moves does not encode again.
"""

from collections.abc import Hashable, Sequence

from torch import Tensor

from steerboard.inprocess.lru import ByteLru
from steerboard.inprocess.rows import Row, clean_until
from steerboard.inprocess.served import ServedModel
from steerboard.model.edits import Known
from steerboard.spec.edits import Feature, SteerSet

# Numbers of a dense pre-activation that are held at once while encoding.
PIECE = 2**26
Sparse = tuple[Tensor, ...]  # values and features


class Codes:
    """Looks codes up in ``cache``, encodes what is missing, each picture once."""

    def __init__(self, cache: ByteLru[Sparse]) -> None:
        self._cache = cache

    def known(self, served: ServedModel, site: str, x: Tensor, rows: Sequence[Row]) -> Known:
        """What edits at ``site`` read of top-k dictionaries, for the rows of ``x [n, t, d]``."""
        found = {
            name: self._codes(served, site, name, x, rows, where)
            for name, where in needed(served, site, [row.steer for row in rows]).items()
        }

        def activation(row: int, feature: Feature) -> Tensor | None:
            if feature.dictionary not in found:
                return None
            values, which = found[feature.dictionary][row]
            return (values * (which == feature.index)).sum(-1)

        return activation

    def _codes(
        self,
        served: ServedModel,
        site: str,
        name: str,
        x: Tensor,
        rows: Sequence[Row],
        where: Sequence[int],
    ) -> dict[int, Sparse]:
        """Values and features ``[t, k]`` of each row of ``where``."""
        out: dict[int, Sparse] = {}
        missing: dict[Hashable, list[int]] = {}
        for b in where:
            clean = clean_until(rows[b].steer, site)
            # Where prefix tokens are at hand alone, their code is another one's beginning.
            own = (served.info.fingerprint, rows[b].image, site, name, x.shape[1])
            key: Hashable = own if clean else b
            held = self._cache.get(key) if clean else None
            if held is not None:
                out[b] = held
            else:
                missing.setdefault(key, []).append(b)
        first = [members[0] for members in missing.values()]
        for (key, members), code in zip(
            missing.items(), encoded(served, name, x, first), strict=True
        ):
            out.update(dict.fromkeys(members, code))
            if isinstance(key, tuple):
                self._cache.put(key, code, sum(t.numel() * t.element_size() for t in code))
        return out


def encoded(served: ServedModel, name: str, x: Tensor, rows: Sequence[int]) -> list[Sparse]:
    """What is kept of each of these rows of ``x``, in pieces that memory holds."""
    sae = served.books[name]
    size = max(1, PIECE // (x.shape[1] * sae.size))
    out: list[Sparse] = []
    for i in range(0, len(rows), size):
        values, which = sae.kept(x[list(rows[i : i + size])])
        out += [(v.clone(), w.clone()) for v, w in zip(values, which, strict=True)]
    return out


def needed(served: ServedModel, site: str, sets: Sequence[SteerSet]) -> dict[str, list[int]]:
    """The rows whose edits at ``site`` read a feature of each top-k dictionary."""
    out: dict[str, list[int]] = {}
    for b, steer in enumerate(sets):
        edits = [e for e in steer.edits if e.site == site]
        units = [u for e in edits for u in (e.unit, e.condition and e.condition.unit)]
        names = {u.dictionary for u in units if isinstance(u, Feature)}
        for name in names:
            if not served.books[name].pointwise:
                out.setdefault(name, []).append(b)
    return out
