"""From a model and a folder of pictures to a dictionary file and its report."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from steerboard.dictionary.native import write
from steerboard.dictionary.sae import Sae
from steerboard.dictionary.training.harvest import harvest
from steerboard.dictionary.training.loop import Tick, Training
from steerboard.dictionary.training.pictures import find_pictures
from steerboard.dictionary.training.plan import Plan
from steerboard.dictionary.training.ranks import Ranks
from steerboard.dictionary.training.report import (
    TrainingReport,
    check_figure,
    held_out_rows,
    measured,
    write_report,
)
from steerboard.dictionary.training.shards import Store, open_store
from steerboard.dictionary.whole import alone, written
from steerboard.model.load import LoadedModel
from steerboard.spec.digest import digest
from steerboard.spec.errors import InvalidRequest, NotFound

DICTIONARY = "dictionary.safetensors"
MOST_HELD_OUT = 512  # pictures


class Watcher(Protocol):
    """Is told how it goes."""

    def harvested(self, done: int, pictures: int) -> None:
        """So many pictures are read."""

    def stepped(self, tick: Tick) -> None:
        """One step more."""


@dataclass(frozen=True)
class Pictures:
    """What to train on, and what to measure on."""

    training: Sequence[Path]
    held_out: Sequence[Path]


def choose(images: Path, split: str, test_split: str, share: float) -> Pictures:
    """Pictures of a split for training and of another for measuring, or an even share of all.

    Raises:
        InvalidRequest: Too few pictures to keep one out.
    """
    found = find_pictures(images, split)
    if test_split:
        return Pictures(found, find_pictures(images, test_split)[:MOST_HELD_OUT])
    step = max(2, round(1 / share))
    held_out = found[::step][:MOST_HELD_OUT]
    apart = set(held_out)
    training = [path for path in found if path not in apart]
    if not training:
        raise InvalidRequest(
            f"{images} has {len(found)} picture: two at least, one to train on and one to measure",
            field="images",
        )
    return Pictures(training, held_out)


def train(
    loaded: LoadedModel,
    site: str,
    pictures: Pictures,
    plan: Plan,
    folder: Path,
    watcher: Watcher,
    resume: bool = False,
    ranks: Ranks | None = None,
) -> TrainingReport | None:
    """Harvest, train, measure, and write dictionary, checkpoint and report into ``folder``.

    Args:
        loaded: The model.
        site: Where its activations are read.
        pictures: For training and for measuring.
        plan: How to train.
        folder: For everything that is written; made where it is missing.
        watcher: Is told how it goes.
        resume: Go on with shards and checkpoint that an earlier run left.
        ranks: This process's place among several.

    Returns:
        The report, in the process that leads; None in the others.

    Raises:
        InvalidRequest: Something named that is not there or does not fit; ``folder`` holds a
            training and ``resume`` is not asked for, or another process trains there, or it
            cannot be written; matplotlib is missing.
        Cancelled: The watcher stopped it; the checkpoint is where it stood.
    """
    ranks = ranks or Ranks()
    with _held(folder, resume) if ranks.leads else nullcontext():
        if ranks.leads:
            gathered(loaded, site, pictures.training, plan, folder / "shards", watcher)
        ranks.wait()
        training = Training(open_store(folder / "shards"), plan, folder, resume, ranks)
        sae = training.run(watcher.stepped)
        return _finish(loaded, site, pictures, training, sae, folder) if ranks.leads else None


@contextmanager
def _held(folder: Path, resume: bool) -> Iterator[None]:
    """The folder, once it may be written, for this training alone."""
    check_figure()
    _check_folder(folder, resume)
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            yield


def _check_folder(folder: Path, resume: bool) -> None:
    if (folder / "checkpoint.safetensors").is_file() and not resume:
        raise InvalidRequest(
            f"{folder} holds a training already: add --resume to go on with it, or choose another"
            " --out",
            field="out",
        )


def gathered(
    loaded: LoadedModel,
    site: str,
    pictures: Sequence[Path],
    plan: Plan,
    folder: Path,
    watcher: Watcher,
) -> Store:
    """The shards of these pictures: those that are there, or newly harvested ones."""
    listed = [(str(path), path.stat().st_size if path.is_file() else -1) for path in pictures]
    source = digest(loaded.fingerprint, site, plan.tokens, plan.seed, plan.views, listed)
    try:
        known = open_store(folder)
    except (NotFound, InvalidRequest):
        known = None
    if known is not None and known.record.get("source") == source:
        return known
    return harvest(
        loaded,
        site,
        plan.tokens,
        pictures,
        folder,
        source,
        plan.seed,
        plan.views,
        notify=lambda done: watcher.harvested(done, len(pictures)),
    )


def _finish(
    loaded: LoadedModel,
    site: str,
    pictures: Pictures,
    training: Training,
    sae: Sae,
    folder: Path,
) -> TrainingReport:
    rows, _ = held_out_rows(loaded, site, pictures.held_out)
    prefix = loaded.tower.site(site).prefix
    report = measured(sae, rows, prefix, training.plan, training.progress, training.store.record)
    facts = {f"held_out.{q.tokens}.variance": q.explained_variance for q in report.quality}
    facts |= {f"held_out.{q.tokens}.per_dimension": q.per_dimension for q in report.quality}
    plan = {k: v for k, v in training.plan.model_dump().items() if isinstance(v, (int, float))}
    record = {**plan, **facts, "pictures": report.pictures, "model": report.model}
    write(folder / DICTIONARY, sae, site, record)
    write_report(report, folder)
    return report
