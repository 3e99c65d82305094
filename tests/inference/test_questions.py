"""What a question weighs is known before anything of it is decoded."""

from types import SimpleNamespace

import pytest

from services.inference.engine.admission import Load
from services.inference.questions import QUESTIONS
from steerboard.v1 import steering_pb2 as pb

INFO = SimpleNamespace(image_size=(4, 5))
MESSAGES = {
    "predict": pb.PredictRequest,
    "steer": pb.SteerRequest,
    "attribute": pb.AttributeRequest,
    "encode": pb.EncodeRequest,
    "embed": pb.EmbedRequest,
}


def asked(name, images=3, sets=0, targets=0, prompts=0, texts=0):
    message = MESSAGES[name]()
    for _ in range(images):
        message.images.add(encoded=b"x")
    for _ in range(sets):
        message.steer_sets.add()
    for _ in range(targets):
        message.targets.add()
    if prompts:
        message.classifier.prompts.prompts.extend(map(str, range(prompts)))
    if texts:
        message.texts.extend(map(str, range(texts)))
    return message


@pytest.mark.parametrize(
    ("name", "parts", "rows"),
    [
        ("predict", {}, 3),
        ("predict", {"prompts": 64}, 3 + 4),
        ("steer", {"sets": 4}, 3 * 5),
        ("steer", {"sets": 4, "targets": 2}, 3 * 7),
        ("attribute", {}, 3 * 2),
        ("attribute", {"targets": 3}, 3 * 4),
        ("encode", {}, 3),
        ("embed", {}, 3),
        ("embed", {"images": 0, "texts": 160}, 10),
        ("embed", {"images": 0, "texts": 1}, 1),
    ],
)
def test_rows_are_counted(name, parts, rows):
    message = asked(name, **parts)
    pixels = parts.get("images", 3) * 3 * 4 * 5 * 4
    assert QUESTIONS[name].load(message, INFO) == Load(rows, message.ByteSize() + pixels)


def test_every_question_of_the_stream_is_known():
    kinds = pb.RunStreamRequest.DESCRIPTOR.oneofs_by_name["question"].fields
    assert [field.name for field in kinds] == list(QUESTIONS)
    answers = pb.RunStreamResponse.DESCRIPTOR.oneofs_by_name["outcome"].fields
    assert [field.name for field in answers] == [*QUESTIONS, "error"]
