"""``steerboard methods`` and ``steerboard attribute``, over the tiny house."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from steerboard.cli import app
from steerboard.cli.attribute import read_target, read_tokens
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError
from steerboard.spec.requests import Logit, LogProb, Margin

CLASSES = ("cat", "dog", "horse")


def test_every_method_is_listed_with_what_it_costs() -> None:
    found = CliRunner().invoke(app, ["methods", "--json"])
    listed = json.loads(found.stdout)
    assert list(listed) == [
        "activation", "energy", "gradient", "integrated_gradients", "ablation", "shapley",
        "logit_lens", "probe", "expertise", "circuit",
    ]  # fmt: skip
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
        (("--units", "thing"), "units"),
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
