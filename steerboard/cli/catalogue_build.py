"""``steerboard catalogue build``: in this process, over an inference service, or by the workers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from steerboard.catalogue.build import Built, Plan
from steerboard.catalogue.build import build as build_one
from steerboard.catalogue.folder import Folder, placed
from steerboard.catalogue.opening import model_of
from steerboard.images.image_set import ImageSet, open_images, open_named
from steerboard.images.picture import Broken, Source
from steerboard.images.splits import HashSplit, read_shares
from steerboard.inprocess.config import Config, read_config
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.runner import Runner

NAMED = 10  # broken pictures that are printed
OWN = "validation"  # split of which a catalogue is built where none is named
LOOKED_AT = 1000  # pictures, to see whether a set names splits
Held = dict[str, tuple[str, ...]]  # dictionaries by model


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line, see ``steerboard.cli.catalogue``."""

    config: Path
    model: str
    dictionaries: tuple[str, ...]
    images: str
    root: str
    where: str
    split: str | None
    splits: str
    words: Path | None
    references: int
    out: str
    inference: str
    jobs: str
    token: str
    slim: bool


def build(wanted: Wanted) -> None:
    """Build one catalogue a dictionary, and say what came of it."""
    settings, base = read_config(wanted.config)
    images = image_set(wanted, settings, base)
    out = wanted.out or placed(base, settings.catalogue or "catalogue")
    folder = Folder(out)
    with asked(wanted, settings) as (held, runner):
        model = named_by(held, wanted.model)
        for name in wanted.dictionaries or held[model]:
            plan = Plan(
                model, name, wanted.references, words=words(wanted.words), beside=not wanted.slim
            )
            shared = sum(name in dictionaries for dictionaries in held.values()) > 1
            place = folder.place_of(name, model, shared, lambda n: model_of(folder.place(n)))
            if runner is None:
                tell(by_workers(wanted, images, plan, place))
            else:
                tell(build_with(wanted, runner, images, plan, place))


def named_by(held: Held, wanted: str) -> str:
    """Id of the model that is meant, by default the first one; raises NotFound."""
    if wanted and wanted not in held:
        raise NotFound(f"there is no model {wanted!r}; there is {', '.join(held)}", field="model")
    return wanted or next(iter(held))


def build_with(wanted: Wanted, runner: Runner, images: ImageSet, plan: Plan, place: str) -> Built:
    """One catalogue, observed from here, with a line that counts pictures."""
    work = f"{place.removesuffix('.parquet')}.building"
    with counting(plan.dictionary) as progress:
        try:
            return build_one(runner, images, plan, place, work, progress=progress)
        except OSError as error:
            raise InvalidRequest(
                f"{place} cannot be written: {error}; what was observed until now stays at {work},"
                " and the same command goes on from there"
            ) from error
        except KeyboardInterrupt:
            Console(stderr=True).print(
                f"stopped: what was observed until now stays at {work}, and the same command goes"
                " on from there",
                soft_wrap=True,
            )
            raise


@contextmanager
def counting(name: str) -> Iterator[Callable[[int], None]]:
    """A line that counts pictures."""
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed} pictures"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as shown:
        line = shown.add_task(name, total=None)
        yield lambda pictures: shown.update(line, completed=pictures)


def by_workers(wanted: Wanted, images: ImageSet, plan: Plan, place: str) -> Built:
    """One catalogue, built by the workers behind a job door, and fetched."""
    from steerboard.api.jobs_client import JobClient
    from steerboard.catalogue.by_job import build_by_job

    client, console = JobClient(wanted.jobs, wanted.token or None), Console(stderr=True)
    jobs: list[str] = []

    def submitted(job: str) -> None:
        jobs.append(job)
        console.print(f"job {job}", soft_wrap=True)

    try:
        with counting(plan.dictionary) as progress:
            return build_by_job(client, images, plan, place, progress, submitted)
    except KeyboardInterrupt:
        if jobs:
            console.print(
                f"stopped looking on: job {jobs[0]} goes on. The same command takes it up again;"
                f" `steerboard jobs cancel {jobs[0]} --jobs {wanted.jobs}` takes it back",
                soft_wrap=True,
            )
        raise
    finally:
        client.close()


@contextmanager
def asked(wanted: Wanted, settings: Config) -> Iterator[tuple[Held, Runner | None]]:
    """Who answers: an inference service, or this process; nobody where a job door's workers ask.

    Beside it which dictionaries each model has.
    """
    from steerboard.api.client import connect
    from steerboard.inprocess.runner import open_local

    if wanted.jobs and not wanted.inference:
        yield {name: tuple(one.dictionaries) for name, one in settings.models.items()}, None
        return
    runner: Runner = (
        connect(wanted.inference, wanted.token or None)
        if wanted.inference
        else open_local(wanted.config, "")
    )
    try:
        held = {m.id: tuple(d.id for d in m.dictionaries) for m in runner.models()}
        yield held, None if wanted.jobs else runner
    finally:
        runner.close()


def image_set(wanted: Wanted, settings: Config, base: Path) -> ImageSet:
    """The set that was named, by the configuration or by its place."""
    named = settings.image_sets.get(wanted.images)
    if named is not None:
        source = open_named(base, named.images, named.manifest)
    elif not Path(wanted.images).exists() and not any(c in wanted.images for c in "/*:"):
        known = ", ".join(settings.image_sets) or "none"
        raise NotFound(
            f"there is no image set {wanted.images!r} in {wanted.config} (there is {known}),"
            " and no such folder or file"
        )
    else:
        source = open_images(wanted.images, wanted.root)
    by_hash = HashSplit(read_shares(wanted.splits)) if wanted.splits else None
    # The runner decodes each picture anyway, and says which ones it cannot.
    return ImageSet(source, wanted.where, split_of(wanted, source, by_hash), by_hash, decode=False)


def split_of(wanted: Wanted, source: Source, by_hash: HashSplit | None) -> str:
    """The split that is meant: where none is named, ``validation`` of a set that has splits."""
    if by_hash is not None:
        split = OWN if wanted.split is None else wanted.split
        if split and split not in by_hash.shares:
            raise InvalidRequest(
                f"there is no split {split!r} among {wanted.splits}: name one of them by --split",
                field="split",
            )
        return split
    if wanted.split is not None:
        return wanted.split
    first = (e for e in islice(source.entries(), LOOKED_AT) if not isinstance(e, Broken))
    return OWN if any(entry.split for entry in first) else ""


def words(path: Path | None) -> tuple[str, ...]:
    """The lines of a word list."""
    if path is None:
        return ()
    try:
        return tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the word list {path} cannot be read: {error}") from error


def tell(built: Built) -> None:
    """Where it is, and what was left out."""
    report, console = built.report, Console()
    console.print(
        f"{built.place}: {built.features} features over {report.pictures} pictures", soft_wrap=True
    )
    if built.reused:
        console.print(f"  {built.reused} of them were observed by an earlier try")
    if report.seen.unknown():
        console.print(f"  {report.seen.unknown()}", markup=False, soft_wrap=True)
    if report.duplicates:
        console.print(f"  {report.duplicates} had the same bytes as another one: left out")
    if report.broken:
        console.print(f"  {report.broken} could not be read: left out")
        for broken in report.named[:NAMED]:
            console.print(f"    {broken.key}: {broken.why}", markup=False, soft_wrap=True)
