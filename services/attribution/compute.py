"""What a chunk computes, over any Runner."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from steerboard.analysis.ablation import ablate
from steerboard.spec.answers import Attribution
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.errors import SteerboardError
from steerboard.spec.jobs import (
    AttributeJob,
    AttributeResult,
    AttributeSetJob,
    JobSpec,
    RankedFeature,
)
from steerboard.spec.requests import Attribute, Encoded, Target
from steerboard.spec.runner import Runner

CHUNK = 16  # pictures
Read = Callable[[str], bytes]
Cards = Callable[[str, list[int]], Sequence[FeatureCard]]


def size(spec: JobSpec) -> tuple[int, int]:
    """Chunks and pictures of a job."""
    if isinstance(spec, AttributeJob):
        return 1, 1
    return -(-len(spec.images) // CHUNK), len(spec.images)


def compute(
    spec: JobSpec, chunk: int, runner: Runner, read: Read, cards: Cards
) -> list[dict[str, Any]]:
    """The results of one chunk as JSON objects.

    Args:
        spec: The job.
        chunk: Which part of it.
        runner: Who answers.
        read: Bytes of a picture by digest.
        cards: What the catalogue knows of features.
    """
    if isinstance(spec, AttributeJob):
        return [attribute_one(spec, runner, read, cards).model_dump(mode="json")]
    return attribute_part(spec, chunk, runner, read)


def attribute_one(spec: AttributeJob, runner: Runner, read: Read, cards: Cards) -> AttributeResult:
    """Score, rank, join reference images, and verify the top units by exact ablation."""
    image = Encoded(data=read(spec.image.sha256))
    request = Attribute(
        model=spec.model,
        images=(image,),
        classifier=spec.classifier,
        dictionary=spec.dictionary,
        targets=(spec.target,),
        method=spec.method,
        top_k=spec.top_k,
        maps=True,
    )
    answer = runner.attribute(request)
    (found,) = answer.one()
    checked = [int(f) for f in found.features[: spec.verify]]
    measured = ablate(
        runner, spec.model, image, spec.classifier, spec.dictionary, checked, found.target
    )
    known = {c.feature: c for c in cards(spec.dictionary, found.features.tolist())}
    rows = [
        ranked(
            found, i, measured[i] if i < len(checked) else None, known.get(int(f)), spec.references
        )
        for i, f in enumerate(found.features)
    ]
    return AttributeResult(
        index=found.target.index,
        against=found.target.against,
        value=found.value,
        features=tuple(rows),
        rest=found.rest,
        error=found.error,
        bias=found.bias,
        total=found.total,
        provenance=asdict(answer.provenance),
    )


def ranked(
    found: Attribution, row: int, measured: float | None, card: FeatureCard | None, references: int
) -> RankedFeature:
    """One row of the review."""
    return RankedFeature(
        feature=int(found.features[row]),
        score=float(found.scores[row]),
        activation=float(found.activations[row]),
        peak=float(found.peaks[row]),
        heat=tuple(map(tuple, found.maps[row].tolist())),
        measured=None if measured is None else float(measured),
        firing_rate=card.firing_rate if card else None,
        maximum=card.maximum if card else None,
        references=card.references[:references] if card else (),
    )


def attribute_part(
    spec: AttributeSetJob, chunk: int, runner: Runner, read: Read
) -> list[dict[str, Any]]:
    """Ranked features of each picture of a chunk; a bad picture carries its own error."""
    part = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
    images = spec.images[part]
    targets = list(
        spec.targets[part] if len(spec.targets) == len(spec.images) else spec.targets * len(images)
    )
    groups: dict[Target, list[int]] = {}
    for i, target in enumerate(targets):
        groups.setdefault(target, []).append(i)
    found: dict[int, dict[str, Any]] = {}
    for target, members in groups.items():
        request = Attribute(
            model=spec.model,
            images=tuple(Encoded(data=read(images[i].sha256)) for i in members),
            classifier=spec.classifier,
            dictionary=spec.dictionary,
            targets=(target,),
            method=spec.method,
            top_k=spec.top_k,
        )
        for i, item in zip(members, runner.attribute(request).items, strict=True):
            found[i] = {"image": images[i].sha256, **brief(item)}
    return [found[i] for i in range(len(images))]


def brief(item: tuple[Attribution, ...] | SteerboardError) -> dict[str, Any]:
    """An attribution as a JSON object, or the picture's error."""
    if isinstance(item, SteerboardError):
        return {"error": item.message, "reason": item.reason}
    (one,) = item
    return {
        "index": one.target.index,
        "against": one.target.against,
        "value": one.value,
        "features": one.features.tolist(),
        "scores": one.scores.tolist(),
        "rest": one.rest,
        "error_term": one.error,
        "bias": one.bias,
        "total": one.total,
    }


def aggregate(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over a set: how often each feature is among the top, and its mean score there."""
    totals: dict[int, list[float]] = {}
    good = [p for p in parts if "error" not in p]
    for part in good:
        for feature, score in zip(part["features"], part["scores"], strict=True):
            totals.setdefault(feature, []).append(score)
    rows = [
        {"feature": f, "pictures": len(s), "mean": sum(s) / len(good)} for f, s in totals.items()
    ]
    rows.sort(key=lambda r: (-abs(r["mean"]), r["feature"]))
    return {"pictures": len(good), "failed": len(parts) - len(good), "features": rows[:64]}
