"""All that was found, as one Evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steerboard.analysis.evidence.effects import (
    effect,
    effects_by,
    examples,
    ripple,
    share,
    worst,
)
from steerboard.analysis.evidence.pictures import PictureSet
from steerboard.analysis.evidence.probing import (
    KINDS,
    Probed,
    controls_of,
    flips_at,
    sweep_of,
)
from steerboard.analysis.evidence.rows import Row, failing, right
from steerboard.analysis.evidence.statistics import auroc
from steerboard.analysis.evidence.verdict import judge
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.digest import digest
from steerboard.spec.evidence import Control, Detection, Downstream, Evidence, Source
from steerboard.spec.recipe import EvidenceNote, Recipe

Logits = Sequence[npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Found:
    """The raw results of a run; ``probed`` is None where no sample was asked."""

    rows: tuple[Row, ...]
    failed: int
    chosen: int
    probed: Probed | None
    moved: tuple[Downstream, ...]
    skipped: Sequence[str]
    before: Logits
    after: Logits
    baked: str = ""


def assemble(
    recipe: Recipe,
    model: ModelInfo,
    images: PictureSet,
    found: Found,
    names: Sequence[str],
    words: int,
    seed: int,
) -> Evidence:
    """The Evidence of one run; ``words`` is the size of the wide vocabulary."""
    rows, probed, steer = found.rows, found.probed, recipe.steer
    local, plain = failing(rows), right(rows)
    outside = [r for r in rows if not r.wanted]
    overall, aside = effect("all", rows, seed), effect("outside", outside, seed)
    fixed, broken = share(sum(r.fixed for r in local), len(local)), aside.break_rate
    controls = controls_of(probed, steer) if probed else ()
    verdict, reasons = judge(overall, fixed, broken, controls)
    groups = effects_by(rows, lambda r: r.group or "all", seed)
    return Evidence(
        recipe=recipe.title,
        recipe_digest=recipe.digest,
        model=model.id,
        model_fingerprint=model.fingerprint,
        baked=found.baked,
        seed=seed,
        source=source(images, found),
        failures=recipe.failures,
        overall=overall,
        failing=fixed,
        gone=share(sum(r.after != r.before for r in local), len(local)),
        right=broken,
        by_group=groups,
        by_class=effects_by(rows, lambda r: names[r.truth], seed),
        worst_group=worst(groups),
        accuracy_drop=aside.accuracy_before.value - aside.accuracy_after.value,
        ripple=ripple(outside or rows, names, words),
        controls=controls,
        sweep=sweep_of(probed, steer) if probed else (),
        flips_at=flips_at(probed, steer) if probed else None,
        downstream=found.moved,
        detection=tuple(detection(found, names)),
        best=examples(local, names, broken=False),
        worst=examples(rows, names, broken=True),
        verdict=verdict,
        reasons=reasons,
        left_out=(*left_out(found, controls, len(plain), words), *rounded(model)),
    )


def source(images: PictureSet, found: Found) -> Source:
    """Which pictures, by the digest of their digests."""
    return Source(
        image_set=images.name,
        split=images.split,
        pictures=len(found.rows),
        digest=digest(sorted(r.digest for r in found.rows)),
        failed=found.failed,
        chosen_here=found.chosen,
    )


def detection(found: Found, names: Sequence[str]) -> Iterator[Detection]:
    """Every class outside the failure group as a concept, detected by its own logit."""
    if not found.before:
        return
    outside = np.array([not r.wanted for r in found.rows])
    truth = np.array([r.truth for r in found.rows])[outside]
    before, after = (np.concatenate(part)[outside] for part in (found.before, found.after))
    for c, name in enumerate(names):
        if 0 < (truth == c).sum() < len(truth):
            yield Detection(
                concept=name,
                pictures=int((truth == c).sum()),
                before=auroc(before[:, c], truth == c),
                after=auroc(after[:, c], truth == c),
            )


def left_out(found: Found, controls: Sequence[Control], right_: int, words: int) -> Iterator[str]:
    """What this run does not say, and why."""
    yield from found.skipped
    if not controls:
        yield (
            "controls: the size of the change is known for features, and for free directions that"
            " are not removed, and needs a sample"
        )
    elif len(controls) < len(KINDS):
        yield (
            "controls by features, at random or the most active: free directions are edited, of"
            " which other features are no control"
        )
    if not right_:
        yield "breaks: no picture outside the failure group was right"
    if not words:
        yield "wide vocabulary: none was given"
    if not found.before:
        yield "detection of other concepts: too many pictures and classes to hold"
    sources = {f.source for d in found.moved for f in d.forecasts}
    if found.moved and not sources:
        yield "forecast of ripple: no feature is edited, and features are what it is made from"
    elif "cosine" not in sources:
        yield "forecast by decoder cosine: the decoder is not at hand over this Runner"


def rounded(model: ModelInfo) -> Iterator[str]:
    """That the model's server rounds what it keeps, where it does."""
    if "kept" in model.precision:
        yield (
            f"full precision: computed in {model.precision}. On Emojiland that moved no logit by"
            " more than 0.002; pictures nearer to a tie may fall otherwise"
        )


def note(evidence: Evidence) -> EvidenceNote:
    """The head that a recipe carries."""
    return EvidenceNote(
        digest=evidence.digest,
        image_set=evidence.source.image_set,
        split=evidence.source.split,
        pictures=evidence.source.pictures,
        fixed=evidence.failing,
        broken=evidence.right,
        net=evidence.overall.net,
        p=evidence.overall.p,
        verdict=evidence.verdict,
        chosen_here=evidence.source.chosen_here,
    )
