"""Odd and broken pictures over gRPC: told in their own place, the good ones are answered."""

import io

import numpy as np
import pytest
from PIL import Image

import steerboard as sb
from steerboard.spec.errors import BadImage

PROMPTS = sb.Prompts(prompts=("cat", "dog"))


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def colour(mode="RGB", size=(40, 30)):
    values = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def deep():
    values = np.random.default_rng(0).integers(0, 65535, (30, 40)).astype(np.uint16)
    return Image.fromarray(values)


def enormous():
    """A PNG that claims 20,000 x 20,000 pixels in a few bytes."""
    return saved(Image.new("1", (20_000, 20_000)), "PNG")


REFUSED = {
    "not an image": lambda: b"GIF or not, this is text",
    "empty": lambda: b"",
    "truncated": lambda: saved(colour(), "JPEG")[:400],
    "20,000 x 20,000": enormous,
    "animated": lambda: saved(
        colour(), "GIF", save_all=True, append_images=[colour().rotate(90), colour().rotate(180)]
    ),
}
TAKEN = {
    "CMYK": lambda: saved(colour("CMYK"), "JPEG"),
    "16-bit": lambda: saved(deep(), "PNG"),
    "with alpha": lambda: saved(colour("RGBA"), "PNG"),
    "grey": lambda: saved(colour("L"), "PNG"),
    "one pixel": lambda: saved(colour(size=(1, 1)), "PNG"),
    "palette": lambda: saved(colour("P"), "PNG"),
}


def ask(runner, *pictures):
    images = tuple(sb.Encoded(data=data) for data in pictures)
    return runner.predict(sb.Predict(model="tiny", images=images, classifier=PROMPTS)).items


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_fails_alone(remote_runner, local_runner, tiny_images, name):
    data = REFUSED[name]()
    good, bad, last = ask(remote_runner, tiny_images[0], data, tiny_images[1])
    (here,) = ask(local_runner, data)
    if name == "animated" and not isinstance(bad, BadImage):
        assert np.isfinite(bad.logits).all()
        return
    assert isinstance(bad, BadImage) and isinstance(here, BadImage)
    assert bad.field == "images[1]" and len(bad.message) > 20
    assert good.logits.shape == last.logits.shape == (2,)
    (again,) = ask(remote_runner, tiny_images[0])
    np.testing.assert_allclose(again.logits, good.logits, atol=2e-5)


@pytest.mark.parametrize("name", TAKEN)
def test_what_can_be_read_is_answered_alike(remote_runner, local_runner, name):
    data = TAKEN[name]()
    (here,), (there,) = ask(local_runner, data), ask(remote_runner, data)
    np.testing.assert_allclose(there.logits, here.logits, atol=2e-5)
