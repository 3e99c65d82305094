"""Does a dictionary belong to its model? Measured on real activations before it is served.

A dictionary passes where it rebuilds every token type that it covers, and where no other pairing
that was tried does clearly better. What was tried, and what each gave, is the report: from it a
person finds the right pairing.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch

from steerboard.dictionary.native import Gate
from steerboard.dictionary.pairings import Kind, Pairing, Rows, other_readings, other_tokens
from steerboard.dictionary.quality import Measured, measure
from steerboard.dictionary.sae import Sae
from steerboard.spec.base import Spec
from steerboard.spec.capabilities import Quality, TokenSet
from steerboard.spec.errors import DictionaryMisfit

FLOOR = 0.5  # explained variance below which a dictionary is refused
COSINE_FLOOR = 0.7  # of a dictionary that is judged by direction
SCORE_FLOOR = 0.1  # mean over dimensions: below, massive dimensions alone were rebuilt
CLEARLY = 0.02  # by how much another pairing must do better
OTHER_TOKENS = 0.2  # the same for the other token type, which may simply be easier
READING = 0.1  # the same for another bias or normalisation, which may flatter a sound dictionary
FIXED = 0.04  # the same where k is fixed: no reading flatters by letting more features be active
DENSER = 1.25  # with more than so many times the active features, more is asked:
FOR_DENSER = 0.25
READINGS = ("input bias", "normalisation")
ROWS = 16_384  # of a token type, measured at the dictionary's own site
TRIED = 1_024  # of a token type, for comparing pairings


class Tried(Spec):
    """Another pairing: what it was, and what it gave on each token type."""

    kind: Kind
    name: str
    quality: tuple[Quality, ...]
    gain: float
    better: bool


class GateReport(Spec):
    """All that the gate found.

    ``agreement`` is the share of pictures whose answer among the prompts stays the same with the
    reconstruction in place, ``embedding_cosine`` how near their embeddings stay; null where they
    were not measured. ``faults`` are why it refuses: none, and the dictionary is accepted.
    """

    name: str
    site: str
    tokens: TokenSet
    judge: Gate
    quality: tuple[Quality, ...]
    tried: tuple[Tried, ...]
    agreement: float | None = None
    embedding_cosine: float | None = None
    faults: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise DictionaryMisfit with the table where there is a fault."""
        if self.faults:
            raise DictionaryMisfit("\n".join([self.sentence(), *table(self)]))

    def sentence(self) -> str:
        """The refusal in one sentence."""
        return f"dictionary {self.name} does not fit {self.site}: {'; '.join(self.faults)}"


def examine(
    name: str,
    sae: Sae,
    site: str,
    own: Rows,
    sites: Mapping[str, Rows],
    backbones: Mapping[str, Rows] | None = None,
    judge: Gate = "explained_variance",
) -> GateReport:
    """Measure ``sae`` where it says it belongs, and every other pairing beside it.

    Args:
        name: For the message.
        sae: The dictionary.
        site: Where it says it belongs.
        own: Activations ``[n, d]`` there, by token type.
        sites: A sample of the same tokens at several sites of the model, its own among them.
        backbones: The same at that site of other models.
        judge: By explained variance, or by direction.

    Raises:
        DictionaryMisfit: A wrong width, or no token of its set: nothing can be measured.
    """
    _check_shape(name, sae, site, own)
    covered = {part: rows for part, rows in own.items() if sae.tokens in (part, "all")}
    sample = thinned(sites.get(site, own))
    few = {part: sample[part] for part in covered}
    stated = {part: measure(sae, rows, part, judge) for part, rows in few.items()}
    pairings = [
        *_elsewhere("site", sae, {s: rows for s, rows in sites.items() if s != site}),
        *other_tokens(sae, sample),
        *other_readings(sae, few),
        *_elsewhere("backbone", sae, backbones or {}),
    ]
    tried = tuple(_tried(pairing, stated, judge) for pairing in pairings)
    found = tuple(
        measure(sae, rows, part, judge).quality for part, rows in thinned(covered, ROWS).items()
    )
    faults = (*below_floor(found, stated, judge), *outdone(tried))
    return GateReport(
        name=name,
        site=site,
        tokens=sae.tokens,
        judge=judge,
        quality=found,
        tried=tried,
        faults=faults,
    )


def thinned(rows: Rows, most: int = TRIED) -> Rows:
    """At most so many rows of each token type, by a chance that is always the same.

    Every n-th row would be of the same few places in each picture.
    """
    chance = {p: torch.Generator().manual_seed(0) for p in rows}
    return {p: x[torch.randperm(len(x), generator=chance[p])[:most]] for p, x in rows.items()}


def _check_shape(name: str, sae: Sae, site: str, own: Rows) -> None:
    if not any(len(rows) for part, rows in own.items() if sae.tokens in (part, "all")):
        raise DictionaryMisfit(
            f"dictionary {name} covers {sae.tokens} tokens, of which this model has none at {site}"
        )
    width = next(iter(own.values())).shape[-1]
    if sae.W_enc.shape[0] != width:
        raise DictionaryMisfit(
            f"dictionary {name} is {sae.W_enc.shape[0]} wide, {site} of this model is {width} wide"
        )


def _elsewhere(kind: Kind, sae: Sae, places: Mapping[str, Rows]) -> Iterable[Pairing]:
    for name, rows in places.items():
        covered = {p: x for p, x in thinned(rows).items() if sae.tokens in (p, "all")}
        if covered and all(x.shape[-1] == sae.W_enc.shape[0] for x in covered.values()):
            yield Pairing(kind, name, sae, covered)


def _tried(pairing: Pairing, stated: Mapping[TokenSet, Measured], judge: Gate) -> Tried:
    """One trial; its gain is the mean over token types of what its score is above the stated."""
    found = {part: measure(pairing.sae, x, part, judge) for part, x in pairing.rows.items()}
    if pairing.kind == "tokens":
        gains = [m.score - min(s.score for s in stated.values()) for m in found.values()]
        margin = OTHER_TOKENS
    else:
        gains = [m.score - stated[part].score for part, m in found.items() if part in stated]
        margin = _for_reading(pairing.sae) if pairing.kind in READINGS else CLEARLY
    gain = sum(gains) / len(gains) if gains else -1.0
    own = max(s.quality.l0 for s in stated.values())
    if max(m.quality.l0 for m in found.values()) > DENSER * own:
        margin = max(margin, FOR_DENSER)
    return Tried(
        kind=pairing.kind,
        name=pairing.name,
        quality=tuple(m.quality for m in found.values()),
        gain=gain,
        better=gain > margin,
    )


def _for_reading(sae: Sae) -> float:
    """By how much another reading of the same rows must do better."""
    return READING if sae.pointwise else FIXED


def below_floor(
    found: Sequence[Quality], stated: Mapping[TokenSet, Measured], judge: Gate
) -> list[str]:
    """A fault for each token type that is not rebuilt."""
    faults = []
    for q in found:
        value, floor, word = judged(q, judge)
        if value < floor:
            faults.append(f"{word} {value:.3f} on {q.tokens} (floor {floor})")
        elif (score := stated[q.tokens].score) < SCORE_FLOOR:
            faults.append(
                f"{word} {value:.3f} on {q.tokens}, yet only {score:.3f} as the mean over"
                f" dimensions (floor {SCORE_FLOOR}): it rebuilds a few massive ones"
            )
    return faults


def judged(q: Quality, judge: Gate) -> tuple[float, float, str]:
    """What decides: the value, its floor, its name."""
    if judge == "cosine":
        return q.cosine, COSINE_FLOOR, "cosine"
    return q.explained_variance, FLOOR, "explained variance"


def outdone(tried: Sequence[Tried]) -> list[str]:
    """A fault for the best of the other pairings that does clearly better."""
    best = max((t for t in tried if t.better), key=lambda t: t.gain, default=None)
    if best is None:
        return []
    return [f"{best.kind} {best.name} does better, by {best.gain:.3f} in the mean over dimensions"]


def table(report: GateReport) -> list[str]:
    """What was tried and what each gave, as lines of text; the stated pairing first."""
    lines = [
        f"{'tried':46} {'tokens':8} {'variance':>8} {'per dim':>8} {'cosine':>7} {'L0':>7}"
        f" {'dead':>6}"
    ]
    for q in report.quality:
        lines.append(_line(f"as stated: {report.site}", q))
    for t in report.tried:
        mark = " <- better" if t.better else ""
        lines += [_line(f"{t.kind}: {t.name}", q) + mark for q in t.quality]
    if not any(t.kind == "backbone" for t in report.tried):
        lines.append("backbone: no other model was named")
    if report.agreement is not None:
        lines.append(f"zero-shot agreement with the reconstruction {report.agreement:.3f}")
    if report.embedding_cosine is not None:
        lines.append(f"cosine of embeddings with the reconstruction {report.embedding_cosine:.3f}")
    return lines


def _line(name: str, q: Quality) -> str:
    return (
        f"{name:46} {q.tokens:8} {q.explained_variance:8.3f} {q.per_dimension:8.3f}"
        f" {q.cosine:7.3f} {q.l0:7.1f} {q.dead:6.3f}"
    )
