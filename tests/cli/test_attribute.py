"""``steerboard methods`` and ``steerboard attribute``, over the tiny house."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import steerboard as sb
from steerboard.cli import app
from steerboard.cli.questions import read_target, read_tokens
from steerboard.inprocess.runner import open_local
from steerboard.spec.edits import Feature
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError
from steerboard.spec.requests import (
    Attribute,
    Encoded,
    Logit,
    LogProb,
    Margin,
    ProbeOutput,
    Target,
    UnitActivation,
)
from steerboard.spec.tensor import Tensor

RNG = np.random.default_rng(5)
CLASSES = ("cat", "dog", "horse")


def test_every_method_is_listed_with_what_it_costs() -> None:
    found = CliRunner().invoke(app, ["methods", "--json"])
    listed = json.loads(found.stdout)
    assert set(listed) >= {
        "activation", "energy", "gradient", "integrated_gradients", "ablation", "shapley",
        "logit_lens", "probe", "expertise", "circuit",
    }  # fmt: skip
    assert all(m["cost"] and m["answers"] and m["misleads"] for m in listed.values())
    assert "shapley" in CliRunner().invoke(app, ["methods"]).stdout


def ask(tiny_house: Path, *options: str) -> Any:
    picture = str(tiny_house / "images" / "00.jpg")
    given = ["attribute", picture, "--config", str(tiny_house), *options]
    return CliRunner().invoke(app, given)


def test_units_come_with_measured_effects_and_the_whole_question(tiny_house: Path) -> None:
    found = ask(tiny_house, "--trust", "--json", "--top", "5", "--target", "margin:cat:dog")
    answer = json.loads(found.stdout)
    assert len(answer["units"]) == 5
    assert all(u["verdict"].startswith("measured: ") for u in answer["units"])
    assert answer["spec"]["targets"] == [{"kind": "margin", "index": 0, "against": 1}]
    assert {"error", "bias", "total", "rest"} == set(answer["rows"])


def test_a_title_names_the_classes_that_are_weighed(tiny_house: Path) -> None:
    runner, data = sb.local(tiny_house), (tiny_house / "images" / "00.jpg").read_bytes()
    info = runner.models()[0]
    asked = sb.Predict(model=info.id, images=(sb.Encoded(data=data),), classifier=info.classifier)
    order = [info.prompts[i] for i in runner.predict(asked).one().logits.argsort()[::-1]]
    third = order[2]
    for options, title in (
        ((), f"gradient of margin {order[0]} over {order[1]}:"),
        (("--target", f"margin:{third}"), f"gradient of margin {third} over {order[0]}:"),
        (("--target", f"margin:{third}:{order[1]}"), f"margin {third} over {order[1]}:"),
        (("--target", "logit"), f"gradient of logit {order[0]}:"),
    ):
        assert title in " ".join(ask(tiny_house, "--top", "3", *options).stdout.split())


@pytest.mark.parametrize("method", ["logit_lens", "ablation"])
def test_scores_that_add_up_to_nothing_are_said_to(tiny_house: Path, method: str) -> None:
    found = ask(tiny_house, "--method", method, "--top", "3")
    assert "parts of no whole" in found.stdout and "rest" not in found.stdout
    assert json.loads(ask(tiny_house, "--method", method, "--json").stdout)["rows"] == {}
    whole = ask(tiny_house, "--method", "gradient", "--top", "3")
    assert "parts of no whole" not in whole.stdout and "rest" in whole.stdout


def test_heads_by_integrated_gradients_as_a_table(tiny_house: Path) -> None:
    options = ("--units", "head", "--site", "head_out.1", "--method", "integrated_gradients")
    found = ask(tiny_house, *options, "--target", "cosine:boat", "--tokens", "0,0;1,2")
    assert found.exit_code == 0 and "baseline" in found.stdout and "head" in found.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "guess"), "choose activation"),
        (("--target", "margin:sheep"), "no class 'sheep'"),
        (("--units", "head", "--site", "resid_post.1"), "no units of kind head"),
        (("--units", "thing"), "choose feature, neuron, head, direction"),
        (("--units", "neuron"), "name it with --site, such as mlp_post.2"),
        (("--units", "head", "--site", "head_out.1", "--dictionary", "middle"), "leave out"),
        (("--units", "direction", "--site", "resid_post.1"), "--directions FILE.npy"),
        (("--target", "probe"), "write probe:FILE.npy"),
        (("--target", "unit:resid_post.2"), "write unit:SITE:DICTIONARY:FEATURE"),
        (("--target", "probe:nothing.npy"), "nothing.npy holds no numbers"),
        (("--method", "probe"), "jobs submit SET --method probe --positive"),
        (("--method", "expertise"), "jobs submit SET --method expertise --positive"),
        (("--method", "circuit"), "name it as the target"),
        (("--dictionary", "none"), "no dictionary"),
        (("--model", "none"), "no model"),
        (("--tokens", "corner"), "row,column"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tiny_house: Path, options: tuple[str, ...], words: str
) -> None:
    found = ask(tiny_house, *options)
    assert isinstance(found.exception, SteerboardError)
    assert words in found.exception.message
    assert "Attribute" not in found.exception.message


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, str]:
    """A probe's row and two directions, as files."""
    found = {"row": RNG.normal(size=16), "rows": RNG.normal(size=(2, 24))}
    for name, values in found.items():
        np.save(tmp_path / name, values.astype(np.float32))
    return {name: str(tmp_path / f"{name}.npy") for name in found}


def test_a_probe_directions_and_a_later_unit_are_asked_as_the_runner_is(
    tiny_house: Path, arrays: dict[str, str]
) -> None:
    later = UnitActivation(site="resid_post.2", unit=Feature(dictionary="last", index=3))
    rows = Tensor.of(np.load(arrays["rows"]))
    features: dict[str, Any] = {"dictionary": "middle"}
    directions = {"site": "resid_post.1", "units": "direction", "directions": rows}
    ways: list[tuple[tuple[str, ...], dict[str, Any], Target]] = [
        ((), features, ProbeOutput(weight=Tensor.of(np.load(arrays["row"])))),
        (("--method", "circuit"), features, later),
        (("--units", "direction", "--site", "resid_post.1"), directions, Margin()),
    ]
    said = [f"probe:{arrays['row']}", "unit:resid_post.2:last:3", "margin"]
    data = (tiny_house / "images" / "00.jpg").read_bytes()
    runner = open_local(tiny_house, "")
    info = runner.models()[0]
    for (options, place, target), words in zip(ways, said, strict=True):
        more = ("--directions", arrays["rows"]) if "--units" in options else ()
        found = ask(tiny_house, *options, *more, "--target", words, "--json", "--top", "2")
        assert found.exit_code == 0, found.exception
        asked = Attribute.model_validate(
            {
                "model": info.id, "images": (Encoded(data=data),), "classifier": info.classifier,
                "targets": (target,), "top_k": 2, **place,
            }
        )  # fmt: skip
        truth = runner.attribute(asked).one()[0]
        units = json.loads(found.stdout)["units"]
        assert [u["unit"] for u in units] == truth.features.tolist()
        assert [u["score"] for u in units] == pytest.approx(truth.scores.tolist(), rel=1e-4)
    runner.close()


def test_targets_and_tokens_are_read() -> None:
    assert read_target("margin", CLASSES) == Margin()
    assert read_target("margin:dog:2", CLASSES) == Margin(index=1, against=2)
    assert read_target("logit:cat", CLASSES) == Logit(index=0)
    assert read_target("log_prob", CLASSES) == LogProb()
    assert read_tokens("0,1;2,3") == {"kind": "patches", "cells": [(0, 1), (2, 3)]}
    for wrong in ("logit:cat:dog", "margin:cat:dog:horse", "score"):
        with pytest.raises(InvalidRequest):
            read_target(wrong, CLASSES)
    with pytest.raises(NotFound):
        read_target("logit:7", CLASSES)
