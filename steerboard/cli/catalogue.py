"""``steerboard catalogue``: build, search, show, note, compare. Heavy imports stay inside."""

from pathlib import Path
from typing import Annotated

import typer

from steerboard.cli.options import Config

app = typer.Typer(no_args_is_help=True, help="What is known of each feature.")
Dictionary = Annotated[str, typer.Option(help="id of the dictionary; by default the first one")]
File = Annotated[str, typer.Option("--catalogue", help="its file, where it lies elsewhere")]
Model = Annotated[str, typer.Option(help="id of the model; by default the first one that fits")]
Notes = Annotated[str, typer.Option(envvar="STEERBOARD_STORE", help="database of sessions")]
OWN_NOTES = "sqlite:///.steerboard/sessions.sqlite"


@app.command("build")
def build_catalogue(
    config: Config = Path("demo"),
    model: Model = "",
    dictionary: Annotated[
        list[str] | None, typer.Option(help="id; may be given again; by default all of the model")
    ] = None,
    images: Annotated[
        str, typer.Option(help="a set of the configuration, or a folder, manifest, tar or URL")
    ] = "emojiland",
    root: Annotated[str, typer.Option(help="where the paths of a manifest begin")] = "",
    where: Annotated[str, typer.Option(help="such as: label in (owl, cat) and size > 0.4")] = "",
    split: Annotated[
        str | None,
        typer.Option(
            help="only this one; empty: all; by default validation, where there are splits"
        ),
    ] = None,
    splits: Annotated[
        str, typer.Option(help="splits by hash, in place of the set's: validation=0.5,test=0.5")
    ] = "",
    words: Annotated[
        Path | None, typer.Option(help="a file of further words to label with, one a line")
    ] = None,
    references: Annotated[int, typer.Option(min=1, max=64)] = 12,
    out: Annotated[str, typer.Option(help="folder or URL; by default as configured")] = "",
    inference: Annotated[
        str, typer.Option(help="host:port of an inference service to ask, in place of this process")
    ] = "",
    jobs: Annotated[str, typer.Option(help="host:port of a job door: its workers build")] = "",
    token: Annotated[str, typer.Option(envvar="STEERBOARD_TOKEN", help="for the services")] = "",
    slim: Annotated[bool, typer.Option(help="no thumbnails, and not what comparing takes")] = False,
) -> None:
    """Find out what is known of every feature over a set of pictures, and write it down.

    A build that was stopped goes on where it was, when it is begun again.
    """
    from steerboard.cli.catalogue_build import Wanted, build

    wanted = Wanted(
        config, model, tuple(dictionary or ()), images, root, where, split, splits, words,
        references, out, inference, jobs, token, slim,
    )  # fmt: skip
    build(wanted)


@app.command("search")
def search_catalogue(
    words: Annotated[list[str], typer.Argument(help="what to look for")],
    config: Config = Path("demo"),
    model: Model = "",
    dictionary: Dictionary = "",
    catalogue: File = "",
    count: Annotated[int, typer.Option(min=1, max=1000)] = 10,
) -> None:
    """Find features by the words of their labels and classes, and by meaning."""
    from steerboard.cli.catalogue_read import Wanted, search

    search(Wanted(config, model, dictionary, catalogue), " ".join(words), count)


@app.command("show")
def show_feature(
    feature: Annotated[int, typer.Argument(help="number of the feature")],
    config: Config = Path("demo"),
    model: Model = "",
    dictionary: Dictionary = "",
    catalogue: File = "",
    store: Notes = OWN_NOTES,
) -> None:
    """Tell all that is known of a feature, and what people wrote about it."""
    from steerboard.cli.catalogue_read import Wanted, show

    show(Wanted(config, model, dictionary, catalogue), feature, store)


@app.command("note")
def note_feature(
    feature: Annotated[int, typer.Argument(help="number of the feature")],
    config: Config = Path("demo"),
    model: Model = "",
    dictionary: Dictionary = "",
    catalogue: File = "",
    store: Notes = OWN_NOTES,
    author: Annotated[str, typer.Option(envvar="USER", help="who says so")] = "anonymous",
    name: Annotated[str, typer.Option(help="what you call it")] = "",
    text: Annotated[str, typer.Option(help="a remark")] = "",
    tag: Annotated[str, typer.Option(help="a word to find it by")] = "",
    untag: Annotated[str, typer.Option(help="take a tag back")] = "",
    vote: Annotated[
        int | None, typer.Option(min=-1, max=1, help="is its name right? 1, -1, or 0: no opinion")
    ] = None,
) -> None:
    """Write down a name, a remark, a tag or a vote; a rebuild never touches it."""
    from steerboard.cli.catalogue_read import Wanted, note

    wanted = Wanted(config, model, dictionary, catalogue)
    note(wanted, feature, store, author, name, text, tag, untag, vote)


@app.command("compare")
def compare_catalogues(
    first: Annotated[str, typer.Argument(help="file of one catalogue")],
    second: Annotated[str, typer.Argument(help="file of the other, over the same pictures")],
    floor: Annotated[
        float, typer.Option(min=0, max=1, help="correlation from which two are partners")
    ] = 0.5,
    out: Annotated[Path, typer.Option(help="folder for the table and the figure")] = Path(
        "comparison"
    ),
) -> None:
    """Match the features of two dictionaries or models by how they fire on the same pictures."""
    from steerboard.cli.catalogue_compare import main

    main(first, second, floor, out)
