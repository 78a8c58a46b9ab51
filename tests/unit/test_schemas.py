from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from auditkit.errors import InvalidInput, PlanError, VerificationError
from auditkit.schemas import load_schema, schema_names, validate


@pytest.mark.parametrize("name", schema_names())
def test_every_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(load_schema(name))


def test_the_place_of_an_error_is_readable() -> None:
    value = {"schema": "auditkit/manifest/v1", "files": [{"path": "a", "size_bytes": -1}]}
    with pytest.raises(VerificationError, match=r"manifest\.json: files\[0\]") as caught:
        validate(value, "manifest", "manifest.json")
    assert caught.value.code == "schema"
    with pytest.raises(PlanError, match="sha256"):
        validate(value, "manifest", "plan.yaml", PlanError)


def test_an_unknown_schema_is_named() -> None:
    with pytest.raises(InvalidInput, match="expected one of"):
        load_schema("nonsense")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("row", {"sample_id": "a", "status": "error", "values": {}, "reason": ""}),
        ("row", {"sample_id": "a", "status": "error", "values": {"x": 1}, "reason": "r"}),
        ("row", {"sample_id": "a", "status": "fine", "values": {}, "reason": ""}),
        ("row", {"sample_id": "a", "status": "ok", "values": {}, "reason": "", "more": 1}),
        ("sample", {"id": "", "group": "g", "input": {}}),
        ("evidence", {"schema": "auditkit/evidence/v1", "checks": []}),
        (
            "evidence",  # neither asked nor a reason why not
            {
                "schema": "auditkit/evidence/v1",
                "checks": [{"check": "a.b", "subjects": [], "not_assessed": None}],
            },
        ),
        (
            "evidence",  # its file would be the samples'
            {
                "schema": "auditkit/evidence/v1",
                "checks": [
                    {
                        "check": "a.b",
                        "subjects": [{"name": "samples", "arm": "target", "description": ""}],
                        "not_assessed": None,
                    }
                ],
            },
        ),
    ],
)
def test_what_is_refused(name: str, value: object) -> None:
    with pytest.raises(VerificationError):
        validate(value, name, "here")
