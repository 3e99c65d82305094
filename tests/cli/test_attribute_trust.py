"""``steerboard attribute --trust``: what it says of a unit is what switching it off does."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from steerboard.analysis.trust import AGREES, NOTHING, OPPOSITE
from steerboard.cli import app
from steerboard.inprocess.runner import open_local
from steerboard.spec.edits import scale
from steerboard.spec.requests import Encoded, Margin, Prompts, Steer

SIGNS = {AGREES: 1, OPPOSITE: -1}


@pytest.mark.parametrize("method", ["gradient", "activation"])
def test_effects_and_verdicts_are_those_of_units_that_are_off(
    tiny_house: Path, method: str
) -> None:
    """Route two: a question to the runner itself. A loud unit may well speak against the target."""
    picture = tiny_house / "images" / "00.jpg"
    given = ["attribute", str(picture), "--config", str(tiny_house), "--method", method]
    options = ["--trust", "--json", "--top", "12", "--target", "margin:cat:dog"]
    found = CliRunner().invoke(app, [*given, *options], catch_exceptions=False)
    units = json.loads(found.stdout)["units"]
    named = json.loads((tiny_house / "classes.json").read_text())
    runner = open_local(tiny_house, "")
    asked = Steer(
        model="tiny",
        images=(Encoded(data=picture.read_bytes()),),
        classifier=Prompts(prompts=tuple(named["classes"]), template=named["template"]),
        steer_sets=tuple(scale("resid_post.1", "middle", -1.0, u["unit"]) for u in units),
        targets=(Margin(index=0, against=1),),
    )
    changes = runner.steer(asked).one().measured[:, 0]
    runner.close()
    assert len(units) == 12 and abs(changes).max() > 0.1
    for unit, change in zip(units, changes.tolist(), strict=True):
        assert unit["measured"] == pytest.approx(-change, abs=1e-4)
        if unit["verdict"] != NOTHING:
            assert SIGNS[unit["verdict"]] * unit["score"] * -change > 0
    verdicts = {unit["verdict"] for unit in units}
    assert verdicts >= ({AGREES, OPPOSITE} if method == "activation" else {AGREES})
