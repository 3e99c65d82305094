"""``steerboard methods`` and ``steerboard attribute``: ask which units made an answer."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from steerboard.cli import options
from steerboard.cli.evidence import opened, shown
from steerboard.cli.questions import array, read_target, read_tokens
from steerboard.cli.trust_report import of_one
from steerboard.cli.trust_report import show as show_report
from steerboard.spec.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from steerboard.analysis.located import Located
    from steerboard.analysis.trust import Trust
    from steerboard.spec.capabilities import ModelInfo
    from steerboard.spec.requests import Attribute
    from steerboard.spec.runner import Runner

UNITS = ("feature", "neuron", "head", "direction")
SIDES = {"model": "beside the model", "runner": "over a runner", "set": "over a set"}


def methods(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the methods of attribution: what each answers, what it costs, when it misleads."""
    from steerboard.spec.methods import METHODS

    if as_json:
        fields = ("side", "answers", "cost", "misleads")
        typer.echo(json.dumps({n: {f: getattr(m, f) for f in fields} for n, m in METHODS.items()}))
        return
    table = Table(title="K = --top, n = --steps; passes of the part behind the site")
    for heading in ("method", "runs", "answers", "cost", "misleads"):
        table.add_column(heading, overflow="fold")
    for name, m in METHODS.items():
        table.add_row(name, SIDES[m.side], m.answers, m.cost, m.misleads)
    Console().print(table)


def attribute(
    image: Annotated[Path, typer.Argument(help="a picture file")],
    model: options.Model = "",
    target: options.Target = "margin",
    method: options.Method = "gradient",
    dictionary: options.Dictionary = "",
    site: options.Site = "",
    units: options.Units = "feature",
    directions: options.Directions = None,
    tokens: options.Tokens = "all",
    top: Annotated[int, typer.Option(min=1, max=4096)] = 16,
    steps: options.Steps = 16,
    trust: Annotated[
        bool,
        typer.Option(
            help="check each unit by exact ablation, and the ranking beside other methods'"
        ),
    ] = False,
    config: options.Config = Path("demo"),
    connect: options.Connect = "",
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Say which units made the model's answer about one picture."""
    from steerboard.analysis.methods import locate

    check_method(method, str(image))
    if not image.is_file():
        raise NotFound(f"there is no picture {image}", field="image")
    place = {
        "dictionary": dictionary, "site": site, "units": units, "tokens": tokens,
        "directions": directions,
    }  # fmt: skip
    with shown(as_json) as progress, opened(config, connect, token, progress) as runner:
        info = runner.model(model or runner.models()[0].id)
        data = image.read_bytes()
        asked = request(info, data, target, place, method=method, top_k=top, steps=steps)
        progress(method, 0, 1)
        found = locate(runner, asked)
        progress(method, 1, 1)
        words, report = {}, None
        if trust:
            progress("checks", 0, 2)
            words = checked(runner, asked, found)
            progress("checks", 1, 2)
            report = reported(runner, asked, found)
        said = asked if as_json else settled(runner, asked)
    names = info.classifier.names if info.classifier else ()
    if as_json:
        more = {"trust": of_one(report)} if report else {}
        typer.echo(json.dumps(plain(found, words, asked) | more))
        return
    show(found, words, said, names)
    if report:
        heading = f"The first {len(report.claims)} units, each switched off alone:"
        show_report(of_one(report), heading, report.method)


def settled(runner: "Runner", asked: "Attribute") -> "Attribute":
    """The same question with the classes of its target filled in: the top one, the runner-up."""
    from steerboard.spec.requests import Margin, Predict, ProbeOutput, UnitActivation

    target = asked.targets[0]
    if isinstance(target, ProbeOutput | UnitActivation):
        return asked
    of = {"model": asked.model, "images": asked.images, "classifier": asked.classifier}
    order = runner.predict(Predict.model_validate(of)).one().logits.argsort()[::-1].tolist()
    named = {"index": order[0] if target.index is None else target.index}
    if isinstance(target, Margin) and target.against is None:
        named["against"] = next(i for i in order if i != named["index"])
    return asked.model_copy(update={"targets": (target.model_copy(update=named),)})


def check_method(method: str, images: str) -> None:
    """Whether a method is asked of pictures one by one; says what to run where it is not.

    Raises:
        InvalidRequest: There is no such method, or it tells labelled pictures apart.
    """
    from steerboard.spec.methods import METHODS, is_labelled

    if method not in METHODS:
        raise InvalidRequest(
            f"there is no method {method!r}: choose {', '.join(METHODS)}", field="method"
        )
    if is_labelled(method):
        raise InvalidRequest(
            f"{method} tells labelled pictures apart, and not one: run `steerboard jobs submit"
            f' SET --method {method} --positive "label = owl" --out found.parquet`, SET being a'
            f" folder, a manifest or a set of the configuration, and not {images!r} alone",
            field="method",
        )


def request(
    info: "ModelInfo", data: bytes, target: str, place: dict[str, Any], **other: Any
) -> "Attribute":
    """The question about a picture's bytes; raises InvalidRequest or NotFound with what is wrong.

    Args:
        info: The model.
        data: The picture.
        target: As it was written.
        place: ``dictionary``, ``site``, ``units``, ``tokens`` and ``directions`` as written.
        other: Further fields of the request.
    """
    from pydantic import ValidationError

    from steerboard.api.status import from_validation
    from steerboard.spec.requests import Attribute, Encoded

    if info.classifier is None:
        raise InvalidRequest(
            f"model {info.id} names no classes: give it prompts or a probe in steerboard.yaml",
            field="model",
        )
    units, given = place["units"], place["directions"]
    check_place(info, units, place["site"], given)
    named = place["dictionary"] or next((d.id for d in info.dictionaries), "")
    try:
        return Attribute.model_validate(
            {
                "model": info.id,
                "images": (Encoded(data=data),),
                "classifier": info.classifier,
                "targets": (read_target(target, info.classifier.names),),
                "dictionary": named if units == "feature" else place["dictionary"],
                "site": place["site"] or None,
                "units": units,
                "directions": array(given) if given else None,
                "tokens": read_tokens(place["tokens"]),
                **other,
            }
        )
    except ValidationError as error:
        raise from_validation(error) from None


def check_place(info: "ModelInfo", units: str, site: str, directions: Path | None) -> None:
    """Say which option is missing, in the shell's own words; raises InvalidRequest."""
    if units not in UNITS:
        raise InvalidRequest(
            f"there are no units of kind {units!r}: choose {', '.join(UNITS)}", field="units"
        )
    if units != "feature" and not site:
        raise InvalidRequest(
            f"{units}s stand at a site: name it with --site, such as {usual_site(info, units)}",
            field="site",
        )
    if units == "direction" and directions is None:
        raise InvalidRequest(
            "directions come from a file: name it with --directions FILE.npy, rows of numbers as"
            " wide as the site",
            field="directions",
        )


def usual_site(info: "ModelInfo", units: str) -> str:
    """Where units of a kind are looked for first; neurons are those inside an MLP."""
    known = [s.name for s in info.sites if units in s.units]
    inside = [name for name in known if name.startswith("mlp_post")]
    found = (inside or known) if units == "neuron" else known
    return found[-1] if found else "resid_post.3"


def reported(runner: "Runner", asked: "Attribute", found: "Located") -> "Trust":
    """The trust report, over as many units of the ranking as it needs."""
    from steerboard.analysis.trust import TOP, trust

    return trust(runner, asked, found=found if asked.top_k >= TOP else None)


def checked(runner: "Runner", asked: "Attribute", found: "Located") -> dict[int, tuple[float, str]]:
    """Measured effect and verdict of each unit that was ranked."""
    from steerboard.analysis.measuring import measure
    from steerboard.analysis.trust import verdicts

    one = measure(runner, asked)
    measured = -one.changes([one.scaled(-1.0, int(u)) for u in found.units])
    words = verdicts(found.scores, measured)
    rows = zip(found.units, measured, words, strict=True)
    return {int(u): (float(m), word) for u, m, word in rows}


def plain(
    found: "Located", words: dict[int, tuple[float, str]], asked: "Attribute"
) -> dict[str, Any]:
    """The answer and its question as JSON."""
    rows = []
    for i, unit in enumerate(found.units.tolist()):
        row: dict[str, Any] = {"unit": unit, "score": float(found.scores[i])}
        if found.errors is not None:
            row["standard_error"] = float(found.errors[i])
        if unit in words:
            row["measured"], row["verdict"] = words[unit]
        rows.append(row)
    spec = asked.model_dump(mode="json")
    return {"value": found.value, "units": rows, "rows": found.rows, "spec": spec}


NO_PARTS = "These scores are parts of no whole: they put units in order, and add up to nothing."
OF = {"probe": "of your own", "unit": "of a later site"}


def show(
    found: "Located",
    words: dict[int, tuple[float, str]],
    asked: "Attribute",
    names: tuple[str, ...],
) -> None:
    """The answer as a table; scores balance, they are no shares."""
    said = asked.targets[0]
    indices = (getattr(said, name, None) for name in ("index", "against"))
    classes = " over ".join(names[i] for i in indices if i is not None)
    of = classes or OF.get(said.kind, "of the answer")
    console, table = Console(), Table()
    console.print(f"{found.method} of {said.kind} {of}: {found.value:.4f}", highlight=False)
    headings = [asked.units, "score", *(["± standard error"] if found.errors is not None else [])]
    for heading in [*headings, *(["measured", "verdict"] if words else [])]:
        table.add_column(heading, justify="right")
    for row in plain(found, words, asked)["units"]:
        cells = [f"{v:+.4f}" if isinstance(v, float) else str(v) for v in row.values()]
        table.add_row(*cells)
    for name, value in found.rows.items():
        table.add_row(name, f"{value:+.4f}")
    console.print(table)
    if not found.rows:
        console.print(NO_PARTS, highlight=False)
