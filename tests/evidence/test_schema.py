"""What was saved stays readable, and keeps its name."""

import json

import pytest
from pydantic import ValidationError

from steerboard.analysis.evidence.pictures import ManifestSet
from steerboard.analysis.evidence.run import Options, run_evidence
from steerboard.spec.digest import digest
from steerboard.spec.evidence import EVIDENCE_SCHEMA, Evidence
from steerboard.spec.recipe import Recipe
from steerboard.spec.runner import Runner


def test_evidence_of_the_first_schema_is_read_and_keeps_its_digest(
    runner: Runner, recipe: Recipe, pictures: ManifestSet
) -> None:
    evidence, _ = run_evidence(runner, recipe, pictures, Options(failing=2, right=2, encoded=1))
    body = json.loads(evidence.model_dump_json())
    assert body["schema_number"] == EVIDENCE_SCHEMA == 2
    assert Evidence.model_validate(body).digest == evidence.digest == digest(2, body)
    old = {**body, "schema_number": 1, "controls": [dict(c) for c in body["controls"]]}
    for control in old["controls"]:
        del control["draws"]  # which the second schema brought
    read = Evidence.model_validate_json(json.dumps(old))
    assert read.digest == digest(1, old) and [c.draws for c in read.controls] == [1, 1, 1]
    with pytest.raises(ValidationError):
        Evidence.model_validate({**body, "schema_number": 3})
