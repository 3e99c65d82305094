"""Requests survive the wire unchanged, and what is wrong with one is told by its whole path."""

import pytest
from hypothesis import given, settings
from pydantic import ValidationError
from strategies import requests, steer_sets

from steerboard.api import convert_requests as c
from steerboard.api.convert_edits import steer_set_from_message, steer_set_to_message
from steerboard.api.status import from_validation
from steerboard.spec import requests as r
from steerboard.spec.digest import digest
from steerboard.v1 import steering_pb2 as pb
from steerboard.v1 import types_pb2 as t

WAYS = {
    r.Predict: (c.predict_to_message, c.predict_from_message),
    r.Steer: (c.steer_to_message, c.steer_from_message),
    r.Attribute: (c.attribute_to_message, c.attribute_from_message),
    r.Encode: (c.encode_to_message, c.encode_from_message),
    r.Embed: (c.embed_to_message, c.embed_from_message),
}


@settings(deadline=None, max_examples=150)
@given(requests)
def test_a_request_comes_back_as_it_went(request):
    there, back = WAYS[type(request)]
    message = there(request)
    again = back(type(message).FromString(message.SerializeToString()))
    assert again == request
    assert digest(again) == digest(request)


@settings(deadline=None, max_examples=150)
@given(steer_sets)
def test_a_steer_set_comes_back_as_it_went(steer_set):
    message = steer_set_to_message(steer_set)
    assert steer_set_from_message(t.SteerSet.FromString(message.SerializeToString())) == steer_set


def test_what_is_not_said_falls_to_the_defaults_of_the_spec():
    classifier = t.Classifier(prompts=t.Prompts(prompts=["a", "b"]))
    message = pb.AttributeRequest(
        model="m", images=[t.ImageRef(encoded=b"x")], classifier=classifier, dictionary="d"
    )
    said = r.Attribute(
        model="m",
        images=(r.Encoded(data=b"x"),),
        classifier=r.Prompts(prompts=("a", "b")),
        dictionary="d",
    )
    assert c.attribute_from_message(message) == said


def steer(**changes):
    edit = t.Edit(
        site="resid_post.1",
        unit=t.Unit(feature=t.Feature(dictionary="d", index=3)),
        op=t.Op(scale=t.Scale(m=-1)),
    )
    message = pb.SteerRequest(
        model="m",
        images=[t.ImageRef(encoded=b"x")],
        classifier=t.Classifier(prompts=t.Prompts(prompts=["cat", "dog"])),
        steer_sets=[t.SteerSet(edits=[edit])],
    )
    return message


def refused(message):
    with pytest.raises(ValidationError) as caught:
        c.steer_from_message(message)
    return from_validation(caught.value)


@pytest.mark.parametrize("m", [float("nan"), float("inf"), 1e9, -101.0])
def test_a_strength_out_of_bounds_names_its_field(m):
    message = steer()
    message.steer_sets[0].edits[0].op.scale.m = m
    error = refused(message)
    assert error.field == "steer_sets[0].edits[0].op.m"
    assert error.message.startswith("steer_sets[0].edits[0].op.m ")
    # pydantic counts the faulty set out, and then finds the list of sets too short.
    assert "more fields" not in error.message


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([], "at least two prompts"),
        (["one"], "at least two prompts"),
        ([f"p{i}" for i in range(5000)], "5000 prompts are more than the limit"),
        (["a", " "], "prompt 2 is empty"),
        (["a", "a"], "twice"),
    ],
)
def test_prompts_that_do_not_do_name_the_remedy(prompts, words):
    message = steer()
    message.classifier.prompts.prompts[:] = prompts
    error = refused(message)
    assert error.field == "classifier.prompts"
    assert words in error.message
    assert "Value error" not in error.message


def test_an_unsaid_kind_and_a_newer_enum_are_refused_by_name():
    message = steer()
    message.steer_sets[0].edits[0].op.Clear()
    assert refused(message).field == "steer_sets[0].edits[0].op"
    message = steer()
    message.steer_sets[0].edits[0].mask.kind = 77
    assert refused(message).field == "steer_sets[0].edits[0].mask.kind"
    message = steer()
    message.images[0].pixels.CopyFrom(t.Tensor(shape=[1], data=b"\0"))
    assert refused(message).field == "images[0].tensor.dtype"


def test_an_empty_message_says_what_is_missing():
    error = refused(pb.SteerRequest())
    assert error.field and "more fields" in error.message


def test_a_text_like_an_unset_enum_is_a_text():
    request = r.Embed(model="unspecified", texts=("a",))
    assert c.embed_from_message(c.embed_to_message(request)) == request
