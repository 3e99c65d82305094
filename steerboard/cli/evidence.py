"""``steerboard evidence``: what a recipe does over an image set."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steerboard.cli.options import Config, Token

if TYPE_CHECKING:
    from steerboard.analysis.evidence.pictures import PictureSet
    from steerboard.analysis.evidence.run import Progress
    from steerboard.dictionary.native import DictionaryFile
    from steerboard.images.listed import ListedSet
    from steerboard.spec.evidence import Evidence
    from steerboard.spec.recipe import Recipe
    from steerboard.spec.runner import Runner

app = typer.Typer(no_args_is_help=True, help="Does a fix hold, and what does it break?")
Address = Annotated[
    str, typer.Option(help="host:port of an inference service; empty: in this process")
]
Images = Annotated[
    str, typer.Option(help="a set of the configuration, or a folder, manifest, tar or URL")
]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="a .recipe.json file")],
    images: Images,
    split: Annotated[str, typer.Option(help="which pictures; empty for all")] = "test",
    config: Config = Path("demo"),
    address: Address = "",
    token: Token = "",
    out: Annotated[
        Path | None, typer.Option(help="folder for report.html, evidence.json, rows.parquet")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the evidence as JSON")] = False,
    words: Annotated[
        Path | None, typer.Option(help="a file of words, one a line, for the wide read-out")
    ] = None,
    chosen_too: Annotated[
        bool, typer.Option(help="go on where the recipe was chosen here; the run is marked")
    ] = False,
    keep: Annotated[bool, typer.Option(help="note the evidence in the recipe's file")] = True,
    seed: int = 0,
) -> None:
    """Fixes, breaks, ripple, controls and price of a recipe over an image set.

    Pictures that the recipe was made on are left out, one by one; a split that it was made on as a
    whole is refused.
    """
    from steerboard.analysis.evidence.run import Options, run_evidence
    from steerboard.recipe.files import load

    found = load(recipe)
    pictures: PictureSet = image_set(config, images, split)
    if not chosen_too:
        pictures = rest(pictures, found)
    options = Options(
        vocabulary=vocabulary(words),
        decoders=decoders(config, found),
        chosen_too=chosen_too,
        seed=seed,
    )
    with shown(as_json) as progress, opened(config, address, token, progress) as runner:
        evidence, rows = run_evidence(runner, found, pictures, options, progress)
    if keep:
        found = noted(recipe, found, evidence)
    if out is not None:
        from steerboard.recipe.report import write_report

        write_report(out, found, evidence, rows, pictures)
    typer.echo(json.dumps(evidence.model_dump(mode="json")) if as_json else summary(evidence))


class opened:
    """A Runner for the length of a ``with``: over gRPC where there is an address.

    To open models of one's own takes seconds, of which ``progress`` is told.
    """

    def __init__(
        self, config: Path, address: str, token: str = "", progress: "Progress | None" = None
    ) -> None:
        self.config, self.address, self.token = config, address, token
        self.progress = progress or silent

    def __enter__(self) -> "Runner":
        self.progress("opening", 0, 1)
        import steerboard

        if self.address:
            self.runner = steerboard.connect(self.address, self.token or None)
        else:
            self.runner = steerboard.local(self.config)
        self.progress("opening", 1, 1)
        return self.runner

    def __exit__(self, *_: object) -> None:
        self.runner.close()


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody is told of."""


class shown:
    """Progress on standard error, one bar a pass; silent where the output is for machines."""

    def __init__(self, silent: bool) -> None:
        self.silent = silent

    def __enter__(self) -> "Progress":
        from rich.console import Console
        from rich.progress import Progress, TaskID

        self.bars = Progress(
            console=Console(stderr=True), transient=True, disable=self.silent
        ).__enter__()
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = self.bars.add_task(what, total=total)
            self.bars.update(tasks[what], completed=done)

        return tell

    def __exit__(self, *error: Any) -> None:
        self.bars.__exit__(*error)


def image_set(config: Path, name: str, split: str) -> "ListedSet":
    """A set of the configuration, or one in any form at a place.

    Raises:
        NotFound: There is neither.
        InvalidRequest: It holds no picture of the split.
    """
    from steerboard.cli.job_pictures import source_of
    from steerboard.images.listed import ListedSet

    found = ListedSet(name, source_of(name, config), split)
    for broken in found.broken.named:
        typer.echo(f"left out: {broken.key}: {broken.why}", err=True)
    return found


def rest(whole: "PictureSet", recipe: "Recipe") -> "PictureSet":
    """An image set without the pictures that a recipe was made on, told on standard error."""
    from steerboard.recipe.making import Rest

    left = Rest(whole, recipe)
    if len(left) < len(whole):
        own = len(whole) - len(left)
        typer.echo(f"left out: {own} pictures that {recipe.title} was made on", err=True)
    return left if len(left) else whole  # of which the run then says why it is refused


def dictionary_files(config: Path, recipe: "Recipe") -> "dict[str, DictionaryFile]":
    """The dictionaries that the recipe edits, of any format; raises what reading them raises."""
    from steerboard.inprocess.config import dictionary_file, read_config

    found, base = read_config(config)
    model = found.models.get(recipe.provenance.model)
    if model is None:
        return {}
    pins = [pin.id for pin in recipe.provenance.dictionaries if pin.id in model.dictionaries]
    return {name: dictionary_file(model.dictionaries[name], base) for name in pins}


def decoders(config: Path, recipe: "Recipe") -> dict[str, Any]:
    """Decoder rows ``[f, d]`` of the model's dictionaries whose files are at hand."""
    from steerboard.inprocess.config import dictionary_file, read_config
    from steerboard.spec.errors import SteerboardError

    found, base = read_config(config)
    model = found.models.get(recipe.provenance.model)
    rows: dict[str, Any] = {}
    for name, one in model.dictionaries.items() if model else ():
        # Over gRPC they may lie with the server alone; the report then says what is left out.
        with suppress(SteerboardError):
            rows[name] = dictionary_file(one, base).sae.W_dec.numpy()
    return rows


def vocabulary(path: Path | None) -> tuple[str, ...]:
    """The words of a file, each once; raises NotFound."""
    from steerboard.spec.errors import NotFound

    if path is None:
        return ()
    if not path.is_file():
        raise NotFound(f"there is no file of words {path}")
    words = (line.strip() for line in path.read_text().splitlines())
    return tuple(dict.fromkeys(word for word in words if word))


def noted(path: Path, recipe: "Recipe", evidence: "Evidence") -> "Recipe":
    """The recipe with the head of this run, kept in its file; the same run stands there once."""
    from steerboard.analysis.evidence.assemble import note
    from steerboard.recipe.files import save

    found = note(evidence)
    kept = tuple(n for n in recipe.evidence if n.digest != found.digest)
    known = recipe.model_copy(update={"evidence": (*kept, found)})
    save(known, path)
    return known


def summary(evidence: "Evidence") -> str:
    """The verdict and its reasons, for a terminal."""
    where = f"{evidence.source.image_set} {evidence.source.split}".strip()
    own = " (chosen on these pictures)" if evidence.source.chosen_here else ""
    head = f"{evidence.recipe} on {where}{own}: {evidence.verdict}"
    return "\n".join([head, *(f"  {reason}" for reason in evidence.reasons)])
