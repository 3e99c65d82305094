"""The error tree and gRPC statuses are inverse to each other, and complete."""

import logging

import grpc
import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from steerboard.api.status import FAULT, error_to_status, status_to_error, translate
from steerboard.spec.errors import Internal, SteerboardError, all_errors

CODES = tuple(code_pb2.Code.DESCRIPTOR.values_by_name)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
@given(
    message=TEXT,
    field=TEXT,
    details=st.dictionaries(TEXT, TEXT, max_size=3),
    retry=st.none() | st.floats(0, 1e5),
)
def test_every_error_comes_back_as_it_went(kind, message, field, details, retry):
    error = kind(message, field=field, details=details, retry_after_s=retry)
    status = error_to_status(error)
    again = status_to_error(type(status).FromString(status.SerializeToString()))
    assert type(again) is kind
    assert (again.message, again.field, again.details) == (message, field, details)
    assert again.retry_after_s == (None if retry is None else pytest.approx(retry, abs=1e-9))


def test_every_error_has_a_status_of_grpc_and_a_reason_of_its_own():
    kinds = list(all_errors())
    assert len({kind.reason for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert hasattr(grpc.StatusCode, kind.status)
        assert kind.status in CODES


@pytest.mark.parametrize("name", [n for n in CODES if n != "OK"])
def test_a_status_without_details_is_told_by_its_code(name):
    from google.rpc import status_pb2

    error = status_to_error(status_pb2.Status(code=code_pb2.Code.Value(name), message="m"))
    assert error.message == "m"
    assert error.status in (name, SteerboardError.status)


def test_a_fault_is_one_sentence_outside_and_a_traceback_inside(caplog):
    with caplog.at_level(logging.ERROR):
        try:
            raise RuntimeError("secret path /srv/weights")
        except RuntimeError as fault:
            error = translate(fault)
    assert type(error) is Internal
    assert error.message == FAULT
    assert "secret" not in error.message
    assert "secret path" in caplog.text and "Traceback" in caplog.text
