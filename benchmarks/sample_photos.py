"""Photos with the detail of real ones, for measuring what pictures cost; the same every time.

A field of leaves that overlap, in all sizes (the "dead leaves" model: edges at every scale, and the
spectrum that photos have), under a smooth sky, through a lens that is a little soft, with the grain
of a phone's sensor. Flat or noisy pictures would flatter one decoder or the other.
"""

import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from local.sample_photo import field_scene

FOLDER = Path(__file__).parents[1] / ".build" / "bench" / "photos"
HORIZON = 0.42
LEAVES_A_MEGAPIXEL = 5_000
GRAIN = 5.0  # standard deviation, in levels of 255
_EXIF_ORIENTATION = 0x0112
_ON_ITS_SIDE = 6

type Draw = Callable[[Path], None]


def made(name: str, make: Draw) -> Path:
    """Return the path of a photo, drawing it when nobody has yet (48 megapixels take a minute)."""
    path = FOLDER / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"part-{name}")
        make(part)
        part.rename(path)
    return path


def phone_jpeg(width: int, height: int, quality: int) -> Draw:
    """As a phone held upright stores it: on its side, and EXIF says so."""
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _ON_ITS_SIDE

    def draw(path: Path) -> None:
        stored = leafy_field(height, width).transpose(Image.Transpose.ROTATE_90)
        stored.save(path, "JPEG", quality=quality, exif=exif)

    return draw


def png(width: int, height: int) -> Draw:
    return lambda path: leafy_field(width, height).save(path, "PNG", compress_level=6)


def webp(width: int, height: int, quality: int) -> Draw:
    return lambda path: leafy_field(width, height).save(path, "WEBP", quality=quality, method=2)


def leafy_field(width: int, height: int) -> Image.Image:
    """An RGB picture of that many pixels."""
    scene = field_scene(width, height)
    _draw_leaves(scene)
    return _with_grain(scene.filter(ImageFilter.GaussianBlur(0.7)))


def _draw_leaves(scene: Image.Image) -> None:
    """Cover the ground, from far to near: small leaves first, each in the light of its place."""
    chance = random.Random(11)
    draw = ImageDraw.Draw(scene)
    colours = scene.resize((200, 150), Image.Resampling.BOX)
    width, height = scene.size
    horizon = int(height * HORIZON)
    rows = sorted(
        chance.uniform(0, 1) ** 0.8
        for _ in range(round(width * height / 1_000_000 * LEAVES_A_MEGAPIXEL))
    )
    for nearness in rows:
        x, y = chance.uniform(0, width), horizon + nearness * (height - horizon)
        # The model's sizes, up to five times the least: as many as fall with the cube.
        length = width / 4000 * (3 + 45 * nearness) / math.sqrt(chance.uniform(0.04, 1))
        place = min(199, int(x * 200 / width)), min(149, int(y * 150 / height))
        colour = colours.getpixel(place)
        assert isinstance(colour, tuple)
        light = chance.gauss(1, 0.28)
        shade = tuple(max(0, min(255, int(c * light + chance.gauss(0, 6)))) for c in colour)
        draw.polygon(_leaf(x, y, length, chance.uniform(0, math.tau)), fill=shade)


def _leaf(x: float, y: float, length: float, angle: float) -> list[tuple[float, float]]:
    along, across = math.cos(angle) * length, math.sin(angle) * length
    outline = ((-1, 0), (-0.3, 0.24), (0.3, 0.2), (1, 0), (0.3, -0.2), (-0.3, -0.24))
    return [(x + a * along - b * across, y + a * across + b * along) for a, b in outline]


def _with_grain(scene: Image.Image) -> Image.Image:
    grain = np.random.default_rng(12)
    for top in range(0, scene.height, 256):
        area = (0, top, scene.width, min(top + 256, scene.height))
        pixels = np.asarray(scene.crop(area), dtype=np.float32)
        noisy = pixels + grain.normal(0, GRAIN, pixels.shape).astype(np.float32)
        scene.paste(Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8)), area)
    return scene
