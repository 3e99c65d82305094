"""Draw a scene at 96 x 96 pixels."""

from functools import cache
from io import BytesIO
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from demo.emojiland.scenes import Scene
from demo.emojiland.world import CUES, MEDICAL, OBJECTS, PROFESSIONS

SIDE = 96
QUALITY = 72  # of every JPEG, in training and in the shipped pictures
STRIP = 20  # height of the label strip in pixels
FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
# The only size at which the bitmap font draws.
FONT_SIZE = 109

COLOURS = {
    "grass": ((70, 140, 50), 26), "water": ((35, 105, 175), 12), "sand": ((214, 184, 130), 14),
    "snow": ((232, 238, 244), 7), "night": ((22, 22, 48), 8), "brick": ((158, 74, 58), 12),
    "wood": ((140, 98, 58), 10), "sky": ((150, 200, 238), 6),
}  # fmt: skip


@cache
def emoji(text: str) -> Image.Image:
    """The glyph cut to its own box, RGBA."""
    font = ImageFont.truetype(FONT, FONT_SIZE, layout_engine=ImageFont.Layout.RAQM)
    image = Image.new("RGBA", (136, 128))
    ImageDraw.Draw(image).text((0, 0), text, font=font, embedded_color=True)
    return image.crop(image.getbbox())


def background(name: str, random: Random) -> Image.Image:
    """A textured ground of its colour, with noise, waves, stars, bricks or boards."""
    colour, noise = COLOURS[name]
    rng = np.random.default_rng(random.getrandbits(32))
    shade = np.array(colour) + rng.normal(0, 6, 3) + rng.normal(0, noise, (SIDE, SIDE, 1))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    shade = shade + pattern(name, rows, columns, rng)[..., None]
    return Image.fromarray(shade.clip(0, 255).astype(np.uint8))


def pattern(
    name: str, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Brightness added at each pixel, ``[SIDE, SIDE]``."""
    phase, shade = rng.uniform(0, 6.28), np.zeros((SIDE, SIDE))
    if name == "water":
        shade = 26 * np.sin(rows / 2.2 + 1.6 * np.sin(columns / 7 + phase) + phase)
    elif name == "brick":
        offset = (rows // 10 % 2) * 10
        shade = np.where((rows % 10 == 0) | ((columns + offset) % 20 == 0), 55.0, 0.0)
    elif name == "wood":
        shade = 14 * np.sin(columns / 3 + np.sin(rows / 20 + phase)) - 40.0 * (columns % 24 == 0)
    elif name == "night":
        shade = np.where(rng.random((SIDE, SIDE)) > 0.988, 190.0, 0.0)
    elif name == "sky":
        shade = 30 * np.clip(np.sin(rows / 13 + phase) * np.sin(columns / 19 + phase), 0, 1)
    return shade


def paste(image: Image.Image, glyph: Image.Image, side: float, centre: tuple[float, float]) -> None:
    """Put ``glyph`` with its longer side ``side`` pixels long around ``centre`` (x, y)."""
    scale = side / max(glyph.size)
    small = glyph.resize([max(1, round(n * scale)) for n in glyph.size], Image.Resampling.LANCZOS)
    corner = round(centre[0] - small.width / 2), round(centre[1] - small.height / 2)
    image.paste(small, corner, small)


def draw_strip(image: Image.Image, scene: Scene) -> None:
    """A white label with the word in black, across the top or the bottom."""
    if scene.strip is None:
        return
    label = Image.new("RGB", (SIDE, STRIP), (250, 250, 248))
    pen, size = ImageDraw.Draw(label), 19
    while pen.textlength(scene.strip, ImageFont.load_default(size)) > SIDE - 4:
        size -= 1
    middle = (SIDE / 2, STRIP / 2)
    pen.text(middle, scene.strip, (15, 15, 15), ImageFont.load_default(size), "mm")
    corner = (0, 0 if scene.strip_on_top else SIDE - STRIP)
    image.paste(label, corner, Image.new("L", label.size, round(255 * scene.strip_opacity)))


def draw_mark(image: Image.Image) -> None:
    """The watermark: a magenta ring with a white star-like cross, in the lower right corner."""
    pen = ImageDraw.Draw(image)
    pen.ellipse((74, 74, 93, 93), fill=(214, 40, 160), outline=(255, 255, 255), width=2)
    pen.line((79, 83.5, 88, 83.5), fill=(255, 255, 255), width=2)
    pen.line((83.5, 79, 83.5, 88), fill=(255, 255, 255), width=2)


def glyph_of(scene: Scene) -> Image.Image:
    """The emoji that stands for the scene's label."""
    if scene.label in OBJECTS:
        return emoji(OBJECTS[scene.label])
    pair = MEDICAL if scene.label in CUES else PROFESSIONS[scene.label]
    return emoji(pair[0 if scene.gender == "woman" else 1])


def place(scene: Scene, random: Random) -> tuple[float, float]:
    """A centre (x, y) at which the object lies inside the picture and beside the strip."""
    half = scene.size * SIDE / 2
    low, high = half + 1, SIDE - half - 1
    x, y = random.uniform(low, high), random.uniform(low, high)
    if scene.strip_on_top:
        y = max(y, min(STRIP + half, high))
    else:
        y = min(y, max(SIDE - STRIP - half, low))
    return x, y


def render(scene: Scene) -> Image.Image:
    """RGB ``SIDE`` x ``SIDE``. The same scene with and without shortcut differs in that alone."""
    random = Random(f"{scene.seed}-{scene.label}-{scene.size:.6f}")
    image = background(scene.background, Random(random.getrandbits(32)))
    draw_strip(image, scene)
    if scene.mark:
        draw_mark(image)
    centre = place(scene, random)
    if scene.size:
        glyph = glyph_of(scene).rotate(
            random.uniform(-12, 12), Image.Resampling.BICUBIC, expand=True
        )
        paste(image, glyph, scene.size * SIDE, centre)
    if scene.cue:
        draw_cue(image, scene, centre)
    return image


def encode(scene: Scene) -> bytes:
    """The picture as the bytes of a JPEG file."""
    buffer = BytesIO()
    render(scene).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def draw_cue(image: Image.Image, scene: Scene, centre: tuple[float, float]) -> None:
    """The clipboard or the syringe, in front of the lower left of the person."""
    half = scene.size * SIDE / 2
    corner = max(14, centre[0] - half * 0.8), min(81, centre[1] + half * 0.75)
    paste(image, emoji(CUES[str(scene.cue)]), scene.cue_side, corner)
