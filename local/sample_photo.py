"""A photo as a field agent's phone takes it, made from nothing: the demo must not carry a real one.

The scene has an obvious up (sky, sun top left, a hut with its roof on top, rows of crops running
to the horizon) and compresses like a photo. The same arguments give the same bytes.
"""

import io
import random

from PIL import Image, ImageChops, ImageDraw, TiffImagePlugin

GPS_LATITUDE, GPS_LONGITUDE = (1.0, 17.0, 31.2), (36.0, 49.0, 4.8)
COMMENT = b"Fieldgate sample: plot 7, Mama Njeri"
MAKE, MODEL = "Fieldgate", "Sample Phone 12"

_MAKE_TAG, _MODEL_TAG, _ORIENTATION_TAG, _DATE_TIME_TAG = 0x010F, 0x0110, 0x0112, 0x0132
_GPS_DIRECTORY = 0x8825
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="1,17.52S"/></rdf:RDF>'
    b"</x:xmpmeta>"
)
# From the upright scene to what the sensor stores; the phone's viewer turns it back.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def camera_jpeg(
    width: int = 4000,
    height: int = 3000,
    *,
    orientation: int = 6,
    gps: bool = True,
    quality: int = 92,
    progressive: bool = False,
) -> bytes:
    """A JPEG with camera metadata; `width` and `height` are as stored, before `orientation`.

    The default is a 12-megapixel portrait photo of 3 to 4.9 MB (an upload may have 5 MiB).
    """
    upright_size = (height, width) if orientation >= 5 else (width, height)
    stored = field_scene(*upright_size)
    if orientation in _STORED:
        stored = stored.transpose(_STORED[orientation])
    out = io.BytesIO()
    stored.save(
        out,
        "JPEG",
        quality=quality,
        progressive=progressive,
        exif=_camera_exif(orientation, gps=gps),
        xmp=_XMP if gps else b"",
        comment=COMMENT,
    )
    return out.getvalue()


def field_scene(width: int, height: int) -> Image.Image:
    """A maize field under the sky, upright."""
    sky = _vertical_blend((width, height), "#4f8fd6", "#dfe9ee")
    soil = _vertical_blend((width, height), "#a58b5a", "#5b4326")
    horizon = int(height * 0.42)
    sky.paste(soil.crop((0, horizon, width, height)), (0, horizon))
    _draw_clouds(sky, horizon)
    draw = ImageDraw.Draw(sky)
    _draw_hills(draw, width, horizon)
    _draw_crop_rows(draw, width, height, horizon)
    _draw_sun(draw, width, height)
    _draw_hut(draw, width, height, horizon)
    _draw_tree(draw, width, height, horizon)
    return _with_texture(sky)


def _vertical_blend(size: tuple[int, int], top: str, bottom: str) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


def _noise(size: tuple[int, int], cells: int, seed: int) -> Image.Image:
    """Smooth grey noise with about `cells` bumps across."""
    across = max(2, min(cells, size[0]))
    down = max(2, min(round(cells * size[1] / size[0]), size[1]))
    grains = random.Random(seed).randbytes(across * down)  # noqa: S311 - a picture, not a secret
    return Image.frombytes("L", (across, down), grains).resize(size, Image.Resampling.BICUBIC)


def _draw_clouds(scene: Image.Image, horizon: int) -> None:
    size = (scene.width, horizon)
    cover = Image.blend(_noise(size, 7, 1), _noise(size, 24, 2), 0.35)
    cover = cover.point(lambda level: max(0, min(200, (level - 120) * 2)))
    scene.paste(Image.new("RGB", size, "white"), (0, 0), cover)


def _draw_hills(draw: ImageDraw.ImageDraw, width: int, horizon: int) -> None:
    shape = random.Random(3)  # noqa: S311 - a picture, not a secret
    for color, lift in (("#7f9bb0", 0.16), ("#6c8f6a", 0.09)):
        tops = [
            (width * step // 12, int(horizon * (1 - lift * shape.uniform(0.3, 1))))
            for step in range(13)
        ]
        draw.polygon([(0, horizon), *tops, (width, horizon)], fill=color)


def _draw_crop_rows(draw: ImageDraw.ImageDraw, width: int, height: int, horizon: int) -> None:
    vanishing = (width * 0.55, horizon)
    for row in range(-30, 31):
        left = width * (0.55 + row * 0.16)
        right = left + width * 0.07
        color = ("#3f7a2b", "#4d8c33", "#37702a")[row % 3]
        draw.polygon([vanishing, (left, height), (right, height)], fill=color)


def _draw_sun(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    radius = min(width, height) * 0.07
    x, y = width * 0.12, height * 0.11
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#ffd83a")


def _draw_hut(draw: ImageDraw.ImageDraw, width: int, height: int, horizon: int) -> None:
    unit = min(width, height) * 0.1
    x, floor = width * 0.68, horizon + unit * 1.2
    draw.rectangle((x, floor - unit * 1.4, x + unit * 2, floor), fill="#b4583a")
    roof = [(x - unit * 0.4, floor - unit * 1.4), (x + unit * 2.4, floor - unit * 1.4)]
    draw.polygon([*roof, (x + unit, floor - unit * 2.6)], fill="#5a3a22")
    draw.rectangle((x + unit * 0.8, floor - unit * 0.9, x + unit * 1.2, floor), fill="#2d1c12")


def _draw_tree(draw: ImageDraw.ImageDraw, width: int, height: int, horizon: int) -> None:
    unit = min(width, height) * 0.1
    x, floor = width * 0.3, horizon + unit * 0.6
    draw.rectangle((x - unit * 0.15, floor - unit * 1.6, x + unit * 0.15, floor), fill="#4a3320")
    for across, up in ((-0.7, 1.8), (0.7, 1.8), (0, 2.3), (0, 1.6)):
        cx, cy = x + unit * across, floor - unit * up
        draw.ellipse(
            (cx - unit * 0.8, cy - unit * 0.7, cx + unit * 0.8, cy + unit * 0.7), "#2f5d25"
        )


def _with_texture(scene: Image.Image) -> Image.Image:
    """Leaves, clods and sensor grain: what makes a photo's file large."""
    size = scene.size
    coarse, fine = _noise(size, 160, 4), _noise(size, size[0] // 2, 5)
    texture = Image.blend(coarse, fine, 0.6)
    ground = Image.linear_gradient("L").resize(size).point(lambda level: 34 if level < 106 else 120)
    texture = Image.composite(texture, Image.new("L", size, 128), ground)
    return ImageChops.overlay(scene, Image.merge("RGB", (texture,) * 3))


def _camera_exif(orientation: int, *, gps: bool) -> bytes:
    exif = Image.Exif()
    exif[_MAKE_TAG], exif[_MODEL_TAG] = MAKE, MODEL
    exif[_ORIENTATION_TAG] = orientation
    exif[_DATE_TIME_TAG] = "2026:04:18 09:41:00"
    if gps:
        rational = TiffImagePlugin.IFDRational
        exif.get_ifd(_GPS_DIRECTORY).update(
            {
                1: "S",
                2: tuple(rational(round(part * 10), 10) for part in GPS_LATITUDE),
                3: "E",
                4: tuple(rational(round(part * 10), 10) for part in GPS_LONGITUDE),
            }
        )
    return exif.tobytes()
