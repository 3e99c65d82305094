"""Build a catalogue over a set: observe, merge, look up what is referred to, write."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial as partial_of

from steerboard.catalogue.file import write
from steerboard.catalogue.labels import chance, vocabulary
from steerboard.catalogue.neighbours import NEAREST, nearest
from steerboard.catalogue.observe import BATCH, batched, observe
from steerboard.catalogue.panel import LIMIT
from steerboard.catalogue.partial import SAMPLED, TOP, Partial, panel_records
from steerboard.catalogue.records import Array, Record, pack
from steerboard.catalogue.shards import Shards, merged, shelved
from steerboard.catalogue.shelf import Shelf
from steerboard.catalogue.table import Known
from steerboard.images.image_set import ImageSet, Report
from steerboard.images.picture import Broken, Picture
from steerboard.spec.capabilities import DictionaryInfo, ModelInfo
from steerboard.spec.errors import NotFound
from steerboard.spec.runner import Near, Runner

RESPONSES = ".responses"
REFUSED = "the model could not read it when this build was begun"


@dataclass(frozen=True)
class Plan:
    """What is to be built.

    Attributes:
        model: Its id.
        dictionary: Its id.
        top: Strongest pictures a feature.
        sampled: Pictures drawn by lot a feature.
        panel: Whole pictures compared at most.
        words: To label with besides the model's class names and the set's labels.
        floor: Score below which a feature has no label; None: what chance seldom reaches.
        beside: Write thumbnails and the panel's responses too, in files of their own.
    """

    model: str
    dictionary: str
    top: int = TOP
    sampled: int = SAMPLED
    panel: int = LIMIT
    words: tuple[str, ...] = ()
    floor: float | None = None
    beside: bool = True


@dataclass
class Built:
    """What came of it."""

    place: str
    report: Report = field(default_factory=Report)
    features: int = 0
    reused: int = 0  # pictures whose records were there from an earlier try

    def take_over(self, pictures: Sequence[Picture], records: Sequence[Record]) -> None:
        """Count what an earlier try observed; what it could not read has no record."""
        known = {r.sha256 for r in records}
        self.reused += len(known)
        for picture in pictures:
            if picture.sha256 not in known:
                self.report.pictures -= 1
                self.report.add(Broken(picture.key, REFUSED))


def build(
    runner: Runner,
    images: ImageSet,
    plan: Plan,
    place: str,
    work: str,
    directions: Array | None = None,
    progress: Callable[[int], None] = lambda pictures: None,
) -> Built:
    """Build the catalogue of a dictionary; what an earlier try observed is taken over.

    Args:
        runner: Who answers.
        images: The pictures.
        plan: What of them.
        place: fsspec URL of the file, ending in ``.parquet``.
        work: fsspec URL of a folder for records; deleted at the end.
        directions: Decoder rows ``[f, d]``; None: the runner is asked about them.
        progress: Told the pictures observed so far.

    Raises:
        NotFound: No such model or dictionary.
        InvalidRequest: No picture of the set could be read.
    """
    info, book = described(runner, plan)
    shards, built = Shards(work, about(info, book)), Built(place)
    labels: set[str] = set()
    names = list(recorded(runner, images, info, book, shards, built, labels, progress))
    partial = empty(plan, info, book)
    for _ in merged(shards, names, partial):
        pass
    if not partial.pictures:
        raise built.report.nothing()
    words = (*info.prompts, *sorted(labels), *plan.words)
    finish(runner, info, book, plan, partial, shards, names, place, words, directions)
    built.features = int((partial.sums.fired > 0).sum())
    shards.clear()
    return built


def described(runner: Runner, plan: Plan) -> tuple[ModelInfo, DictionaryInfo]:
    """Model and dictionary; raises NotFound."""
    info = runner.model(plan.model)
    book = info.dictionary(plan.dictionary)
    if book is None:
        known = ", ".join(d.id for d in info.dictionaries) or "none"
        raise NotFound(
            f"model {info.id} has no dictionary {plan.dictionary!r}; it has {known}",
            field="dictionary",
        )
    return info, book


def about(info: ModelInfo, book: DictionaryInfo) -> str:
    """What records depend on besides pictures."""
    return " ".join((info.fingerprint, book.fingerprint, info.precision))


def empty(plan: Plan, info: ModelInfo, book: DictionaryInfo) -> Partial:
    """A part with nothing in it."""
    cells = info.grid[0] * info.grid[1]
    return Partial(book.size, cells, plan.top, plan.sampled, plan.panel)


def recorded(
    runner: Runner,
    images: ImageSet,
    info: ModelInfo,
    book: DictionaryInfo,
    shards: Shards,
    built: Built,
    labels: set[str],
    progress: Callable[[int], None],
) -> Iterator[str]:
    """Names of the shards of a set, each written before it is named."""
    found: list[str] = []
    done = 0

    def missing() -> Iterator[tuple[Picture, ...]]:
        for batch in batched(images.pictures(built.report), BATCH):
            labels.update(p.label for p in batch if p.label)
            name = shards.name(p.sha256 for p in batch)
            if shards.has(name):
                built.take_over(batch, shards.read(name))
                found.append(name)
            else:
                yield batch

    for part in observe(runner, info, book.id, missing()):
        for broken in part.broken:
            built.report.pictures -= 1
            built.report.add(broken)
        name = shards.name(p.sha256 for p in part.pictures)
        shards.write(name, part.records)
        done += len(part.pictures)
        progress(done + built.reused)
        yield name
    yield from found


def finish(
    runner: Runner,
    info: ModelInfo,
    book: DictionaryInfo,
    plan: Plan,
    partial: Partial,
    shards: Shards,
    names: Sequence[str],
    place: str,
    texts: Iterable[str],
    directions: Array | None = None,
) -> None:
    """Write the responses of a merged part's panel, and then its catalogue beside them."""
    shelf = shelved(shards, names, partial)
    known = named(runner, info, plan, partial, shelf, texts, directions)
    if plan.beside:
        write_responses(place, partial)
    write(place, known, told(info, book), thumbnails=plan.beside)


def named(
    runner: Runner,
    info: ModelInfo,
    plan: Plan,
    partial: Partial,
    shelf: Shelf,
    texts: Iterable[str],
    directions: Array | None = None,
) -> Known:
    """All that rows are made from, with the words to label with."""
    words = vocabulary(runner, info.id, tuple(texts), info.template)
    floor = chance(words, shelf.embeddings, plan.top) if plan.floor is None else plan.floor
    return Known(partial, shelf, words, compare(runner, plan, directions), floor)


def compare(
    runner: Runner, plan: Plan, directions: Array | None
) -> Callable[[Array], tuple[Array, Array]] | None:
    """Who tells which features lie near others: the rows given, else the runner where it can."""
    if directions is not None:
        return partial_of(nearest, directions)
    if not isinstance(runner, Near):
        return None

    def ask(features: Array) -> tuple[Array, Array]:
        found = runner.nearest(plan.model, plan.dictionary, features.tolist(), NEAREST)
        return found.features, found.cosines

    return ask


def write_responses(place: str, partial: Partial) -> None:
    """Write the responses of the panel beside a catalogue: what comparing it takes."""
    folder, _, name = place.removesuffix(".parquet").rpartition("/")
    responses = pack(panel_records(partial.panel), small=True)
    Shards(folder or ".", "").put(f"{name}{RESPONSES}", responses)


def told(info: ModelInfo, book: DictionaryInfo) -> dict[str, object]:
    """What a catalogue says of its model and dictionary."""
    return {
        "model": info.id,
        "model_fingerprint": info.fingerprint,
        "dictionary": book.id,
        "dictionary_fingerprint": book.fingerprint,
        "precision": info.precision,
        "grid": list(info.grid),
        "template": info.template,
    }
