"""Whatever a stranger's client sends: a status with details, and the next good call is answered."""

import io
import math

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from PIL import Image

from steerboard.v1 import steering_pb2 as pb
from steerboard.v1 import types_pb2 as tp
from steerboard.v1.steering_pb2_grpc import SteeringServiceStub

FLOAT32 = tp.DTYPE_FLOAT32


@pytest.fixture(scope="module")
def stub(tiny_server):
    with grpc.insecure_channel(tiny_server.address) as channel:
        yield SteeringServiceStub(channel)


def edit(site="resid_post.1", dictionary="middle", index=3, m=-1.0, cells=None):
    made = tp.Edit(site=site)
    made.unit.feature.dictionary, made.unit.feature.index = dictionary, index
    made.op.scale.m = m
    if cells is not None:
        made.mask.kind = tp.MASK_KIND_PATCHES
        for row, column in cells:
            made.mask.cells.add(row=row, column=column)
    return made


def good(images):
    request = pb.SteerRequest(model="tiny")
    for data in images:
        request.images.add(encoded=data)
    request.classifier.prompts.prompts.extend(["cat", "dog"])
    request.steer_sets.add(edits=[edit()])
    request.targets.add().margin.SetInParent()
    return request


def tensor(*shape, value=0.0, data=None):
    values = np.full(shape, value, "<f4").tobytes() if data is None else data
    return tp.Tensor(dtype=FLOAT32, shape=shape, data=values)


def with_edit(*edits):
    def change(request):
        del request.steer_sets[0].edits[:]
        request.steer_sets[0].edits.extend(edits)

    return change


def of(op=None, **words):
    """An edit whose op or condition is spoiled."""
    made = edit()
    if op:
        made.op.Clear()
        spoiled = getattr(made.op, op)
        for name, value in words.items():
            setattr(spoiled, name, value)
        return with_edit(made)
    made.condition.unit.CopyFrom(made.unit)
    made.condition.tau = words["tau"]
    return with_edit(made)


def with_prompts(*prompts, template=None):
    def change(request):
        del request.classifier.prompts.prompts[:]
        request.classifier.prompts.prompts.extend(prompts)
        if template is not None:
            request.classifier.prompts.template = template

    return change


def with_probe(**parts):
    def change(request):
        probe = {
            "names": ["a", "b"],
            "weight": tensor(2, 16, value=1.0),
            "bias": tensor(2),
            **parts,
        }
        request.classifier.probe.CopyFrom(tp.Probe(**probe))

    return change


def direction(**words):
    made = edit()
    made.unit.direction.values.CopyFrom(tensor(24, **words))
    return with_edit(made)


def doing(statement):
    def change(request):
        exec(statement, {"r": request})

    return change


EDIT, UNIT = "steer_sets[0].edits[0]", "steer_sets[0].edits[0].unit"
INVALID, MISSING = "INVALID_ARGUMENT", "NOT_FOUND"
NAN, PROMPTS = math.nan, "classifier.prompts"
WRONG = {
    "unknown model": (doing("r.model = 'none'"), MISSING, "model"),
    "no model": (doing("r.model = ''"), MISSING, "model"),
    "unknown site": (with_edit(edit(site="resid_post.9")), MISSING, f"{EDIT}.site"),
    "malformed site": (with_edit(edit(site="block/3")), INVALID, f"{EDIT}.site"),
    "unknown dictionary": (with_edit(edit(dictionary="x")), MISSING, f"{UNIT}.dictionary"),
    "unknown feature": (with_edit(edit(index=48)), MISSING, UNIT),
    "negative feature": (with_edit(edit(index=-1)), INVALID, f"{UNIT}.index"),
    "feature of another site": (with_edit(edit(dictionary="last")), INVALID, UNIT),
    "overlapping edits": (with_edit(edit(), edit(m=1)), INVALID, "steer_sets[0].edits[1]"),
    "empty region": (with_edit(edit(cells=[])), INVALID, f"{EDIT}.mask"),
    "off the grid": (with_edit(edit(cells=[(4, 0)])), INVALID, f"{EDIT}.mask"),
    "negative cell": (with_edit(edit(cells=[(-1, 0)])), INVALID, f"{EDIT}.mask"),
    "m NaN": (with_edit(edit(m=NAN)), INVALID, f"{EDIT}.op.m"),
    "m infinite": (with_edit(edit(m=-math.inf)), INVALID, f"{EDIT}.op.m"),
    "m 1e9": (with_edit(edit(m=1e9)), INVALID, f"{EDIT}.op.m"),
    "value NaN": (of("set", value=NAN), INVALID, f"{EDIT}.op.value"),
    "alpha 1e9": (of("add", alpha=1e9), INVALID, f"{EDIT}.op.alpha"),
    "tau NaN": (of(tau=NAN), INVALID, f"{EDIT}.condition.tau"),
    "no op": (doing("r.steer_sets[0].edits[0].op.Clear()"), INVALID, f"{EDIT}.op"),
    "no unit": (doing("r.steer_sets[0].edits[0].unit.Clear()"), INVALID, UNIT),
    "unknown mask": (
        doing("r.steer_sets[0].edits[0].mask.kind = 99"),
        INVALID,
        f"{EDIT}.mask.kind",
    ),
    "two thousand edits": (
        with_edit(*(edit(index=i % 48) for i in range(2000))),
        INVALID,
        "steer_sets[0].edits",
    ),
    "zero direction": (direction(value=0.0), INVALID, f"{UNIT}.values"),
    "NaN direction": (direction(value=NAN), INVALID, f"{UNIT}.values"),
    "short direction": (direction(data=b"123"), INVALID, f"{UNIT}.values"),
    "no prompt": (with_prompts(), INVALID, PROMPTS),
    "one prompt": (with_prompts("cat"), INVALID, PROMPTS),
    "5,000 prompts": (with_prompts(*map(str, range(5000))), INVALID, PROMPTS),
    "an empty prompt": (with_prompts("cat", "  "), INVALID, PROMPTS),
    "the same prompt twice": (with_prompts("cat", "cat"), INVALID, PROMPTS),
    "a novel": (with_prompts("cat", "x" * 501), INVALID, PROMPTS),
    "no slot": (with_prompts("a", "b", template="a photo"), INVALID, "classifier.template"),
    "no classifier": (doing("r.classifier.Clear()"), INVALID, "classifier"),
    "probe of another width": (
        with_probe(weight=tensor(2, 5, value=1.0)),
        INVALID,
        "classifier.weight",
    ),
    "probe of NaN": (with_probe(weight=tensor(2, 16, value=NAN)), INVALID, "classifier.weight"),
    "probe without names": (with_probe(names=[]), INVALID, "classifier.names"),
    "no image": (doing("del r.images[:]"), INVALID, "images"),
    "an image of no form": (doing("r.images.add()"), INVALID, "images[1]"),
    "513 images": (doing("[r.images.add(encoded=b'x') for _ in range(513)]"), INVALID, "images"),
    "no digest": (doing("r.images.add(digest='abc')"), INVALID, "images[1].sha256"),
    "unseen digest": (doing("r.images.add(digest='0' * 64)"), MISSING, "images"),
    "lying tensor": (
        doing("t = r.images.add().pixels; t.dtype = 1; t.shape.extend([2**40, 2**40])"),
        INVALID,
        "images[1].tensor",
    ),
    "negative shape": (
        doing("t = r.images.add().pixels; t.dtype = 1; t.shape.extend([-1, 4])"),
        INVALID,
        "images[1].tensor",
    ),
    "no dtype": (
        doing("t = r.images.add().pixels; t.shape.extend([0])"),
        INVALID,
        "images[1].tensor.dtype",
    ),
    "no steer set": (doing("del r.steer_sets[:]"), INVALID, "steer_sets"),
    "257 steer sets": (doing("[r.steer_sets.add() for _ in range(257)]"), INVALID, "steer_sets"),
    "unknown class": (doing("r.targets.add().logit.index = 2"), INVALID, "targets[1]"),
    "negative class": (doing("r.targets.add().logit.index = -1"), INVALID, "targets[1].index"),
    "class against itself": (
        doing("m = r.targets.add().margin; m.index = 1; m.against = 1"),
        INVALID,
        "targets[1]",
    ),
    "17 targets": (
        doing("[r.targets.add().logit.SetInParent() for _ in range(17)]"),
        INVALID,
        "targets",
    ),
}


def details(status, kind):
    """The detail of this kind, or None."""
    found = kind()
    return found if any(d.Unpack(found) for d in status.details) else None


def told(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return rpc_status.from_call(caught.value), caught.value.code().name


def check_told(status, code, expected, field):
    assert code == expected
    info = details(status, error_details_pb2.ErrorInfo)
    assert info.domain == "steerboard" and info.reason
    bad = details(status, error_details_pb2.BadRequest)
    assert bad.field_violations[0].field == field
    assert len(status.message) > 15 and "Traceback" not in status.message
    missing = details(status, error_details_pb2.ResourceInfo)
    assert (missing is not None) == (expected == MISSING)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_field_and_the_next_call_works(stub, tiny_images, name):
    change, expected, field = WRONG[name]
    request = good(tiny_images[:1])
    change(request)
    status, code = told(lambda: stub.Steer(request, timeout=60))
    check_told(status, code, expected, field)
    (item,) = stub.Steer(good(tiny_images[:1]), timeout=60).items
    assert item.WhichOneof("outcome") == "result"


@pytest.mark.parametrize(("top_k", "field"), [(0, "top_k"), (10**9, "top_k"), (-5, "top_k")])
def test_a_top_k_out_of_bounds_is_told(stub, tiny_images, top_k, field):
    request = pb.AttributeRequest(model="tiny", dictionary="middle", top_k=top_k)
    request.images.add(encoded=tiny_images[0])
    request.classifier.prompts.prompts.extend(["cat", "dog"])
    check_told(*told(lambda: stub.Attribute(request, timeout=60)), INVALID, field)


def test_neither_images_nor_texts_is_told(stub):
    status, code = told(lambda: stub.Embed(pb.EmbedRequest(model="tiny"), timeout=60))
    assert code == INVALID and "one of the two" in status.message


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(mode="RGB"):
    values = np.random.default_rng(1).integers(0, 255, (32, 40, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def odd_pictures():
    """Name, bytes, and whether it can be read."""
    deep = Image.fromarray(np.random.default_rng(0).integers(0, 65535, (32, 40)).astype(np.uint16))
    frames = [picture().rotate(90), picture().rotate(180)]
    return [
        ("not a picture", b"hello, I am a text", False),
        ("empty", b"", False),
        ("truncated", saved(picture(), "JPEG")[:500], False),
        ("20,000 x 20,000", saved(Image.new("1", (20_000, 20_000)), "PNG"), False),
        ("animated", saved(picture(), "GIF", save_all=True, append_images=frames), True),
        ("CMYK", saved(picture("CMYK"), "JPEG"), True),
        ("16-bit", saved(deep, "PNG"), True),
        ("alpha", saved(picture("RGBA"), "PNG"), True),
        ("last and good", saved(picture(), "JPEG"), True),
    ]


def test_of_many_odd_pictures_in_one_call_the_readable_ones_are_answered(stub):
    odd = odd_pictures()
    request = good([data for _, data, _ in odd])
    pixels = request.images.add().pixels
    pixels.CopyFrom(tensor(3, 8, 8))
    items = stub.Steer(request, timeout=60).items
    assert len(items) == len(odd) + 1
    for i, ((name, _, readable), item) in enumerate(zip(odd, items, strict=False)):
        assert item.WhichOneof("outcome") == ("result" if readable else "error"), name
        if not readable:
            check_item(item.error, f"images[{i}]", "BAD_IMAGE")
    check_item(items[-1].error, f"images[{len(odd)}]", "INVALID_REQUEST")


def check_item(status, field, reason):
    assert isinstance(status, status_pb2.Status)
    assert details(status, error_details_pb2.ErrorInfo).reason == reason
    check_told(status, "INVALID_ARGUMENT", INVALID, field)


def test_garbage_in_place_of_a_message_is_refused_and_harms_nobody(tiny_server, stub, tiny_images):
    with grpc.insecure_channel(tiny_server.address) as channel:
        raw = channel.unary_unary("/steerboard.v1.SteeringService/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            raw(b"\xff\xff\xff\x07garbage", timeout=30)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "PredictRequest" in caught.value.details()
    (item,) = stub.Steer(good(tiny_images[:1]), timeout=60).items
    assert item.WhichOneof("outcome") == "result"


def test_garbage_in_a_stream_ends_the_stream_with_a_sentence(tiny_server, stub, tiny_images):
    with grpc.insecure_channel(tiny_server.address) as channel:
        raw = channel.stream_stream("/steerboard.v1.SteeringService/RunStream")
        with pytest.raises(grpc.RpcError) as caught:
            list(raw(iter([b"\xff\xff\xff\x07garbage"]), timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "RunStreamRequest" in caught.value.details()
    (item,) = stub.Steer(good(tiny_images[:1]), timeout=60).items
    assert item.WhichOneof("outcome") == "result"
