"""``steerboard trust``: how far to trust a method over a set of pictures."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steerboard.cli import options
from steerboard.cli.attribute import check_method, request
from steerboard.cli.evidence import opened, shown
from steerboard.cli.job_pictures import source_of, why_none
from steerboard.cli.trust_report import figures, show
from steerboard.spec.errors import InvalidRequest, SteerboardError

if TYPE_CHECKING:
    from steerboard.analysis.trust import TrustOfSet
    from steerboard.images.image_set import Report
    from steerboard.images.picture import Broken, Entry, Picture
    from steerboard.spec.requests import Attribute
    from steerboard.spec.runner import Runner

NAMED = 5  # bad pictures that are named


def trust(
    images: options.Pictures,
    model: options.Model = "",
    target: options.Target = "margin",
    method: options.Method = "gradient",
    dictionary: options.Dictionary = "",
    site: options.Site = "",
    units: options.Units = "feature",
    directions: options.Directions = None,
    tokens: options.Tokens = "all",
    steps: options.Steps = 16,
    where: options.Where = "",
    split: options.Split = "",
    count: Annotated[int, typer.Option(min=0, help="drawn by --seed; 0: every picture")] = 50,
    seed: int = 0,
    config: options.Config = Path("demo"),
    connect: options.Connect = "",
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """How far to trust a method: medians over pictures, each checked by exact ablations."""
    from steerboard.analysis.trust import TOP

    check_method(method, images)
    place = {
        "dictionary": dictionary, "site": site, "units": units, "tokens": tokens,
        "directions": directions,
    }  # fmt: skip
    done = Done([], [], [])
    with shown(as_json) as progress, opened(config, connect, token, progress) as runner:
        info = runner.model(model or runner.models()[0].id)
        chosen = drawn(images, config, where, split, count, seed)
        report, many = chosen.report, len(chosen.entries_)
        progress("pictures", 0, many)
        for picture in chosen.pictures():
            asked = request(
                info, picture.data, target, place, method=method, steps=steps, top_k=TOP
            )
            done.add(runner, picture, asked)
            progress("pictures", report.pictures + report.broken, many)
        progress("pictures", many, many)
    found = done.whole(report)
    say(found, done.bad(report), chosen, method=method, target=target, as_json=as_json)


@dataclass
class Drawn:
    """Some entries of a set, as a set, and what became of them.

    Attributes:
        entries_: Those that were drawn.
        of: How many fit.
        report: Filled while they are read.
    """

    entries_: "Sequence[Entry | Broken]"
    of: int
    report: "Report"

    def entries(self) -> "Iterator[Entry | Broken]":
        """See ``Source``."""
        return iter(self.entries_)

    def stamp(self) -> str:
        """See ``Source``; nobody asks about a few that were drawn."""
        return ""

    def pictures(self) -> "Iterator[Picture]":
        """Each content once; those that cannot be read are counted."""
        from steerboard.images.image_set import ImageSet

        return ImageSet(self, decode=False).pictures(self.report)


def drawn(images: str, config: Path, where: str, split: str, count: int, seed: int) -> Drawn:
    """So many pictures of those that fit, in the set's order; raises InvalidRequest on none."""
    import numpy as np

    from steerboard.images.conditions import condition
    from steerboard.images.image_set import Report, facts
    from steerboard.images.picture import Broken

    source, fits = source_of(images, config), condition(where)
    known = [
        entry
        for entry in source.entries()
        if isinstance(entry, Broken) or (fits(facts(entry)) and split in ("", entry.split))
    ]
    if all(isinstance(entry, Broken) for entry in known):
        raise InvalidRequest(why_none(source, images, where, split), field="images")
    if 0 < count < len(known):
        places = np.random.default_rng(seed).choice(len(known), count, replace=False)
        return Drawn([known[i] for i in sorted(places.tolist())], len(known), Report())
    return Drawn(known, len(known), Report())


@dataclass
class Done:
    """Reports so far, and the pictures that have none: their names and why."""

    reports: list[Any]
    names: list[str]
    failed: list[tuple[int, SteerboardError]]

    def add(self, runner: "Runner", picture: "Picture", asked: "Attribute") -> None:
        """One more picture; raises what is wrong with the question and not with the picture."""
        from steerboard.analysis.trust import of_picture, trust

        place = len(self.reports) + len(self.failed)
        try:
            self.reports.append(trust(runner, asked))
        except SteerboardError as error:
            if not of_picture(error):
                raise
            self.names.append(picture.key)
            self.failed.append((place, error))

    def whole(self, report: "Report") -> "TrustOfSet":
        """All together; raises what was wrong where no picture could be answered."""
        from steerboard.analysis.trust import of_set

        if not self.reports:
            raise self.failed[0][1] if self.failed else report.nothing()
        return of_set(self.reports, self.failed)

    def bad(self, report: "Report") -> list[tuple[str, str]]:
        """The name of each picture that does not count, and why."""
        refused = [(n, e.message) for n, (_, e) in zip(self.names, self.failed, strict=True)]
        return [*((broken.key, broken.why) for broken in report.named), *refused]


def say(
    found: "TrustOfSet",
    bad: list[tuple[str, str]],
    chosen: Drawn,
    *,
    method: str,
    target: str,
    as_json: bool,
) -> None:
    """The report, and what does not count in it."""
    said = {"method": method, "target": target, "images": found.images, "of": chosen.of}
    said |= {**figures(found), "areas": found.areas}
    if as_json:
        plain = [{"picture": name, "why": why} for name, why in bad]
        typer.echo(json.dumps({**said, "bad": plain, "duplicates": chosen.report.duplicates}))
        return
    some = f", drawn from {chosen.of}" if len(chosen.entries_) < chosen.of else ""
    heading = f"{method} of {target}: medians over {found.images} pictures{some}"
    show(said, heading, method)
    if chosen.report.duplicates:
        typer.echo(f"{chosen.report.duplicates} had the same bytes as another one: left out")
    if bad:
        typer.echo(f"{len(bad)} could not be read: left out")
    for name, why in bad[:NAMED]:
        typer.echo(f"  {name}: {why}")
