"""``steerboard recipe``: made, compared, joined, fitted, published, baked."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steerboard.cli.evidence import (
    Address,
    Images,
    dictionary_files,
    image_set,
    opened,
    shown,
    summary,
)
from steerboard.cli.options import Config, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from steerboard.recipe.teach import Taught
    from steerboard.spec.recipe import ChosenOn

app = typer.Typer(no_args_is_help=True, help="Named steer sets that can be handed on.")
File = Annotated[Path, typer.Argument(help="a .recipe.json file")]
Out = Annotated[Path, typer.Option("--out", "-o", help="file to write")]
LITTLE = 0.5  # R^2 of baked weights below which teaching is named


@app.command()
def make(
    name: str,
    out: Out,
    features: Annotated[str, typer.Option(help="indices, as 3,14,15")],
    dictionary: Annotated[str, typer.Option(help="their dictionary")],
    m: Annotated[float, typer.Option(help="-1 off, 0 unchanged, +1 doubled")] = -1.0,
    model: str = "emojiland",
    failing: Annotated[
        str, typer.Option(help="attributes of the pictures it is for, as group=watermark,label=cat")
    ] = "",
    summary_: Annotated[str, typer.Option("--summary")] = "",
    images: Annotated[str, typer.Option(help="image set that the features were chosen on")] = "",
    split: Annotated[str, typer.Option(help="of that set; empty for all")] = "",
    pictures: Annotated[
        str, typer.Option(help="those it was chosen on, as a.jpg,b.jpg; empty: the whole split")
    ] = "",
    config: Config = Path("demo"),
    address: Address = "",
    token: Token = "",
) -> None:
    """Write a recipe that scales features of one dictionary, for the model's own prompts.

    Say on which pictures its features were chosen: its evidence then comes from others.
    """
    from steerboard.analysis.ablation import site_of
    from steerboard.recipe.files import save
    from steerboard.recipe.making import make as make_recipe
    from steerboard.spec.edits import scale
    from steerboard.spec.errors import InvalidRequest

    with opened(config, address, token) as runner:
        info = runner.model(model)
        if info.classifier is None:
            raise InvalidRequest(f"model {model} names no classes: give it prompts or a probe")
        site = site_of(runner, model, dictionary)
        recipe = make_recipe(
            runner,
            name,
            model,
            scale(site, dictionary, m, *numbers(features)),
            info.classifier,
            summary=summary_,
            failures=attributes(failing),
            chosen_on=chosen_on(config, images, split, pictures),
        )
    save(recipe, out)
    typer.echo(f"{recipe.title}, unproven: {out}")


@app.command()
def show(recipe: File) -> None:
    """What a recipe does, where it comes from, and what is known of it."""
    from steerboard.recipe.changes import op_of, place_of
    from steerboard.recipe.files import load

    found = load(recipe)
    typer.echo(f"{found.title}: {found.status}\n{found.summary}".rstrip())
    for edit in found.steer.edits:
        typer.echo(f"  {place_of(edit)}: {op_of(edit)}")
    for part in found.provenance.chosen_on:
        where = f"{part.image_set} {part.split}".strip()
        typer.echo(f"chosen on {where}, {len(part.pictures)} pictures")
    for note in found.evidence:
        own = ", chosen here" if note.chosen_here else ""
        fixed, broken = (100 * s.value for s in (note.fixed, note.broken))
        typer.echo(
            f"{note.image_set} {note.split}{own}: {note.verdict}, fixes {fixed:.0f} %, breaks"
            f" {broken:.1f} %, net {note.net:+.1f} per 1,000"
        )


@app.command()
def diff(old: File, new: File) -> None:
    """Where two recipes differ."""
    from steerboard.recipe.changes import diff as changes
    from steerboard.recipe.files import load

    found = changes(load(old), load(new))
    for change in found:
        typer.echo(f"{change.place}: {change.before or '(none)'} -> {change.after or '(none)'}")
    if not found:
        typer.echo("no difference")


@app.command()
def merge(
    name: str,
    recipes: Annotated[list[Path], typer.Argument(help="two or more .recipe.json files")],
    images: Images,
    out: Out,
    split: Annotated[str, typer.Option(help="probe pictures; empty for all")] = "validation",
    config: Config = Path("demo"),
    address: Address = "",
    token: Token = "",
) -> None:
    """Join recipes into one, and measure whether their edits interact."""
    from steerboard.recipe.changes import merge as join
    from steerboard.recipe.files import load, save
    from steerboard.recipe.interaction import interaction
    from steerboard.spec.errors import InvalidRequest

    if len(recipes) < 2:
        raise InvalidRequest("name at least two recipes to merge")
    found = [load(path) for path in recipes]
    joined = join(name, found)
    with opened(config, address, token) as runner:
        seen = interaction(runner, found, image_set(config, images, split))
    save(joined, out)
    typer.echo(
        f"{joined.title}, unproven: {out}\ntogether against the sum of each, {seen.pictures}"
        f" pictures: gap {seen.gap:.3f} of {seen.moved:.3f} logits moved ({seen.excess:.0%}),"
        f" {seen.other_class} pictures say what no recipe alone says"
    )
    if seen.strong:
        typer.secho("the edits interact: judge the merged recipe by its own evidence", fg="yellow")


@app.command()
def publish(recipe: File, folder: Annotated[Path, typer.Option(help="where others read")]) -> None:
    """Put a proven recipe where others read; one without evidence is refused."""
    from steerboard.recipe.files import load
    from steerboard.recipe.files import publish as put

    typer.echo(str(put(load(recipe), folder)))


@app.command()
def fit(
    recipe: File,
    images: Images,
    out: Out,
    split: Annotated[str, typer.Option(help="fitting pictures")] = "validation",
    penalty: Annotated[float, typer.Option(min=0, help="price of a break against a fix")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, max=20)] = 2,
    most: Annotated[int, typer.Option(min=1, help="pictures of each kind")] = 120,
    config: Config = Path("demo"),
    address: Address = "",
    token: Token = "",
) -> None:
    """Fit the strengths of a recipe's edits on one split; the result is a new version."""
    from steerboard.recipe.files import load, save
    from steerboard.recipe.fit import Step
    from steerboard.recipe.fit import fit as fit_strengths

    def tell(step: Step) -> None:
        what = "start" if step.edit is None else f"edit {step.edit + 1}: {step.strength:g}"
        typer.echo(
            f"{what}  J {step.score:.3f}  fixed {step.fixed}  broken {step.broken}", err=True
        )

    with opened(config, address, token) as runner:
        better, _ = fit_strengths(
            runner,
            load(recipe),
            image_set(config, images, split),
            penalty=penalty,
            rounds=rounds,
            most=most,
            tell=tell,
        )
    save(better, out)
    typer.echo(f"{better.title}, unproven: {out}")


@app.command()
def bake(
    recipe: File,
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the new checkpoint")],
    split: Annotated[str, typer.Option(help="pictures to fit the weights on")] = "validation",
    report_split: Annotated[str, typer.Option(help="pictures to compare on")] = "test",
    further: Annotated[
        int, typer.Option(min=0, help="blocks behind the edits that mend what is left over")
    ] = 64,
    teach: Annotated[
        int,
        typer.Option(
            min=0, help="batches of tokens by which gradients teach the edited MLPs, alone"
        ),
    ] = 0,
    config: Config = Path("demo"),
    as_json: Annotated[bool, typer.Option("--json", help="print everything as JSON")] = False,
) -> None:
    """Turn a recipe into weights: an ordinary open_clip checkpoint, beside the live edit."""
    from steerboard.inprocess.config import read_config
    from steerboard.model.load import load as load_model
    from steerboard.recipe.bake import bake as bake_weights
    from steerboard.recipe.baked import write_checkpoint
    from steerboard.recipe.compare import compare
    from steerboard.recipe.files import load
    from steerboard.recipe.serving import serve_folder
    from steerboard.recipe.teach import teach as teach_weights
    from steerboard.spec.errors import NotFound

    found = load(recipe)
    settings, base = read_config(config)
    name = found.provenance.model
    if name not in settings.models:
        raise NotFound(f"there is no model {name!r} in {config}")
    source = base / settings.models[name].path
    loaded = load_model(source)
    pictures = image_set(config, images, split)
    files = dictionary_files(config, found)
    typer.echo("fitting weights, then comparing them: minutes, for a thousand pictures", err=True)
    baked = bake_weights(loaded, found, files, pictures, 0 if teach else further)
    lessons: Sequence[Taught] = ()
    if teach:
        typer.echo(f"teaching the edited MLPs for {teach} steps", err=True)
        baked, lessons = teach_weights(loaded, found, files, list(pictures), baked, teach)
    write_checkpoint(source, out, loaded, baked)
    with opened(config, "") as live, shown(as_json):
        new = serve_folder(name, out, settings.models[name], base)
        try:
            beside = compare(live, new, found, image_set(config, images, report_split))
        finally:
            new.close()
    fits = [fit.model_dump(mode="json") for fit in baked.fits]
    taught = [lesson.model_dump(mode="json") for lesson in lessons]
    made = [gate.model_dump(mode="json") for gate in baked.gates]
    record = {"fits": fits, "gates": made, "taught": taught, **beside.model_dump(mode="json")}
    (out / "steerboard_baked.json").write_text(json.dumps(record, indent=1) + "\n")
    typer.echo(json.dumps(record) if as_json else told(out, baked, lessons, beside))


def told(out: Path, baked: Any, lessons: "Sequence[Taught]", beside: Any) -> str:
    """Fit, what gradients made of it, agreement and both evidences, for a terminal."""
    lines = [f"checkpoint: {out} (open_clip.create_model('local-dir:{out}'))"]
    lines += [
        f"{f.site}: {f.edits} edits, R^2 {f.r2 or 0:.3f} on pictures held out"
        f" (prefix {f.r2_prefix or 0:.3f}, patches {f.r2_patches or 0:.3f})"
        for f in baked.fits
    ]
    lines += [
        f"{g.site}: {len(g.neurons)} neurons stand for a condition, right on {g.agrees:.1%} of"
        " tokens held out"
        for g in baked.gates
    ]
    lines += [
        f"{t.site}: taught over {t.steps} steps by {t.changed} changed tokens, R^2 {t.before:.3f}"
        f" before and {t.after:.3f} after on pictures held out, {t.size:.1%} of the MLP's weights"
        " changed by norm"
        for t in lessons
    ]
    if not lessons and any((f.r2 or 0) < LITTLE for f in baked.fits if f.edits):
        lines.append("little of the change is in the weights: --teach 2000 may put more there")
    for what, share in (("changes", beside.changed), ("leaves", beside.rest)):
        lines.append(
            f"same answer where the live edit {what} it: {share.value:.3f} of {share.n} pictures"
        )
    return "\n".join([*lines, "live:", summary(beside.live), "baked:", summary(beside.baked)])


def chosen_on(config: Path, images: str, split: str, pictures: str) -> "tuple[ChosenOn, ...]":
    """What features were chosen on; raises NotFound, or InvalidRequest where no set is named."""
    from steerboard.recipe.making import chosen, named
    from steerboard.spec.errors import InvalidRequest

    if not images:
        if split or pictures:
            raise InvalidRequest("--split and --pictures are of an image set: name it by --images")
        return ()
    whole = image_set(config, images, split)
    names = [name.strip() for name in pictures.split(",") if name.strip()]
    if not names:
        return (chosen(images, split, list(whole)),)
    # Listed one by one, under no split: evidence leaves out these, and no others.
    return (chosen(images, "", named(whole, names)),)


def numbers(text: str) -> list[int]:
    """Feature indices; raises InvalidRequest."""
    from steerboard.spec.errors import InvalidRequest

    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidRequest(
            f"--features {text!r} is no list of numbers: write them as 3,14,15"
        ) from error


def attributes(text: str) -> dict[str, str]:
    """``a=b,c=d`` as a dictionary; raises InvalidRequest."""
    from steerboard.spec.errors import InvalidRequest

    pairs = [part.partition("=") for part in text.split(",") if part]
    if any(not middle or not name for name, middle, _ in pairs):
        raise InvalidRequest(f"--failing {text!r} is no list of name=value: write group=watermark")
    return {name.strip(): value.strip() for name, _, value in pairs}
