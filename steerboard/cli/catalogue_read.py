"""``steerboard catalogue search``, ``show`` and ``note``."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from steerboard.catalogue.file import Catalogue
from steerboard.catalogue.folder import STALE, Folder, placed
from steerboard.catalogue.opening import model_of, open_catalogue
from steerboard.catalogue.sums import edges
from steerboard.inprocess.config import (
    Config,
    DictionaryConfig,
    dictionary_file,
    read_config,
)
from steerboard.spec.catalogue import FeatureCard, name_of
from steerboard.spec.errors import InvalidRequest, NotFound


@dataclass(frozen=True)
class Wanted:
    """Which catalogue is meant: that of a configuration's dictionary, or a file wherever it lies.

    Attributes:
        config: The steerboard.yaml.
        model: Id; empty: the first one that has the dictionary.
        dictionary: Id; empty: the first one.
        file: Its place; empty: where the configuration keeps catalogues.
    """

    config: Path
    model: str = ""
    dictionary: str = ""
    file: str = ""


def opened(wanted: Wanted) -> Catalogue:
    """The catalogue that is meant.

    Raises:
        NotFound: No such model, dictionary or file.
        InvalidRequest: It is of an earlier schema, or of another dictionary than the one served.
    """
    if wanted.file:
        return of_file(wanted)
    settings, base = read_config(wanted.config)
    model, dictionary = chosen(settings, wanted)
    folder = Folder(placed(base, settings.catalogue or "catalogue"))
    name = name_of(dictionary, model)
    stems = folder.meant(name, lambda stem: model_of(folder.place(stem)))
    if not stems:
        raise NotFound(
            f"there is no catalogue of dictionary {dictionary!r} of model {model!r}: build one"
            " first"
        )
    found = read(folder.place(stems[0]))
    check_served(found, dictionary, settings.models[model].dictionaries[dictionary], base)
    return found


def of_file(wanted: Wanted) -> Catalogue:
    """The catalogue of a file, which may be of a dictionary that the configuration does not have.

    The dictionary that it is held against is the one that the options name, and else the one that
    the file itself names.

    Raises:
        NotFound: No such file, or no such model or dictionary where the options name one.
        InvalidRequest: As ``opened``.
    """
    found = read(wanted.file)
    named = bool(wanted.model or wanted.dictionary)
    own = Wanted(wanted.config, str(found.about["model"]), found.dictionary)
    try:
        settings, base = read_config(wanted.config)
        model, dictionary = chosen(settings, wanted if named else own)
    except NotFound:
        if named:
            raise
        return found
    check_served(found, dictionary, settings.models[model].dictionaries[dictionary], base)
    return found


def check_served(found: Catalogue, name: str, served: DictionaryConfig, base: Path) -> None:
    """Raises InvalidRequest for a catalogue of another dictionary than the one served."""
    if found.about["dictionary_fingerprint"] != dictionary_file(served, base).fingerprint:
        raise InvalidRequest(f"the catalogue of dictionary {name!r} {STALE}")


def chosen(settings: Config, wanted: Wanted) -> tuple[str, str]:
    """Ids of model and dictionary; raises NotFound."""
    if wanted.model and wanted.model not in settings.models:
        raise NotFound(f"there is no model {wanted.model!r}; there is {', '.join(settings.models)}")
    pairs = [
        (m, d)
        for m, one in settings.models.items()
        for d in one.dictionaries
        if wanted.model in ("", m)
    ]
    fit = [(m, d) for m, d in pairs if wanted.dictionary in ("", d)]
    if not fit:
        known = ", ".join(d for _, d in pairs) or "none"
        raise NotFound(f"there is no dictionary {wanted.dictionary!r}; there is {known}")
    return fit[0]


def read(place: str) -> Catalogue:
    """The catalogue of a file; raises InvalidRequest for one of an earlier schema."""
    found = open_catalogue(place)
    if not isinstance(found, Catalogue):
        raise InvalidRequest(
            f"{place} is of an earlier schema, without labels: run steerboard catalogue build"
        )
    return found


def search(wanted: Wanted, words: str, count: int) -> None:
    """Print the features that fit."""
    from steerboard.catalogue.search import search as find
    from steerboard.inprocess.runner import open_local

    catalogue = opened(wanted)
    runner = open_local(wanted.config, "")
    try:
        hits = find(catalogue, runner, words, count)
    finally:
        runner.close()
    cards = catalogue.cards([h.feature for h in hits], 0)
    table = Table("feature", "label", "meaning", "detects (AP)", "fires on", "best class (AP)")
    for hit, card in zip(hits, cards, strict=True):
        best = f"{card.classes[0].name} ({card.classes[0].ap:.2f})" if card.classes else ""
        rate = f"{100 * card.firing_rate:.1f} %"
        table.add_row(
            str(hit.feature), hit.label, f"{hit.meaning:.3f}", f"{hit.detects:.2f}", rate, best
        )
    Console().print(table)


def show(wanted: Wanted, feature: int, store: str) -> None:
    """Print a feature's page."""
    from steerboard.store.labels import FeatureLabels

    catalogue = opened(wanted)
    card, about = one(catalogue, feature), catalogue.about
    console = Console()
    for name, value in (("model", str(about["model"])), *facts(card, float(about["label_floor"]))):
        console.print(f"{name:16}{value}", markup=False, highlight=False, soft_wrap=True)
    labels = FeatureLabels(store)
    try:
        for said in labels.history(str(about["dictionary_fingerprint"]), feature):
            what = f"{said.kind}: {said.text or said.value}"
            console.print(
                f"{said.at:%Y-%m-%d %H:%M}  {said.author}  {what}", markup=False, highlight=False
            )
    finally:
        labels.close()


def note(
    wanted: Wanted,
    feature: int,
    store: str,
    author: str,
    name: str,
    text: str,
    tag: str,
    untag: str,
    vote: int | None,
) -> None:
    """Write down what a person says of a feature."""
    from steerboard.spec.catalogue import Kind
    from steerboard.store.labels import FeatureLabels

    catalogue = opened(wanted)
    one(catalogue, feature)
    fingerprint = str(catalogue.about["dictionary_fingerprint"])
    said: list[tuple[Kind, str]] = [("name", name), ("note", text), ("tag", tag), ("untag", untag)]
    labels = FeatureLabels(store)
    try:
        for kind, words in said:
            if words:
                labels.say(fingerprint, feature, author, kind, words)
        if vote is not None:
            labels.say(fingerprint, feature, author, "vote", value=vote)
        if vote is None and not any(words for _, words in said):
            raise InvalidRequest("there is nothing to write: give --name, --text, --tag or --vote")
    finally:
        labels.close()


def one(catalogue: Catalogue, feature: int) -> FeatureCard:
    """A feature's card; raises NotFound."""
    cards = catalogue.cards([feature])
    if not cards:
        raise NotFound(
            f"feature {feature} has no row: it never fired on the {catalogue.about['pictures']}"
            f" pictures, or dictionary {catalogue.dictionary} has only {catalogue.about['size']}"
        )
    return cards[0]


def facts(card: FeatureCard, floor: float) -> list[tuple[str, str]]:
    """What a page tells, line by line."""
    label = card.label or "none"
    near = [f"{n.feature} ({n.value:.2f})" for n in card.neighbours]
    met = [f"{n.feature} ({n.value:.2f})" for n in card.coactive]
    classes = [
        f"{c.name}: AP {c.ap:.2f}, AUROC {c.auroc:.2f}, lift {c.lift:.1f}, {c.positives} pictures"
        for c in card.classes
    ]
    return [
        ("feature", f"{card.feature} of {card.dictionary}"),
        ("label", f"{label} (score {shown(card.label_score)}, floor {floor:.3f})"),
        ("fires on", f"{100 * card.firing_rate:.2f} % of pictures"),
        ("response", f"mean {shown(card.mean)} where it fires, at most {card.maximum:.3f}"),
        ("clarity", shown(card.clarity)),
        ("polysemanticity", shown(card.polysemanticity)),
        ("redundancy", shown(card.redundancy)),
        ("histogram", histogram(card)),
        ("near it", ", ".join(near) or "unknown"),
        ("fires with it", ", ".join(met) or "none"),
        *(("detects" if not i else "", line) for i, line in enumerate(classes)),
        *(
            ("strongest" if not i else "", f"{r.activation:.3f}  {r.image}")
            for i, r in enumerate(card.references)
        ),
        *(
            ("by lot" if not i else "", f"{r.activation:.3f}  {r.image}")
            for i, r in enumerate(card.sample)
        ),
    ]


def shown(value: float | None) -> str:
    """A number, or that there is none."""
    return "unknown" if value is None else f"{value:.3f}"


def histogram(card: FeatureCard) -> str:
    """Pictures by response, where there are any."""
    lower = edges()
    return "  ".join(f">={lower[i]:.3g}: {n}" for i, n in enumerate(card.histogram) if n)
