"""The variants that are published of an uploaded photo: `web` for people, `ai` for models.

Plain functions over bytes: no AWS, no database. Import this module only where a photo is
processed, because it brings Pillow. The limits stand in `photo_file`, the bounds of what is made
in the registry of the configuration, and what they cost in time and memory is measured by
benchmarks/photo_memory.py.
"""

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from uploads.photo_file import PhotoRejected, Reason, StrippedPhoto
from uploads.photo_formats import read_photo_file
from uploads.photo_webp import decode_scaled
from uploads.variant_forms import Form, Forms

__all__ = ["PhotoRejected", "Reason", "Variant", "render_variants"]

# What a picture with too many bytes is made smaller by: its quality as far as this, then its sides.
LOWEST_QUALITY, _QUALITY_STEP = 40, 10
_SHRINK = 0.8

# The base keeps this many times the pixels, across and down, that the largest variant needs:
# with LANCZOS on top the result cannot be told from one made of the full photo.
_HEADROOM = 2
# Of a WebP, which comes in any size; with twice as many it would take 4 MiB more.
_WEBP_HEADROOM = 1.75
_BAND_PIXELS = 250_000

_DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
# Not by Image.open, which imports the readers of other formats first: 40 ms.
_READERS = {"JPEG": JpegImageFile, "PNG": PngImageFile}
_COLOUR_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_UPRIGHT_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Variant:
    """A finished picture: upright, sRGB, without metadata; `width` and `height` in pixels."""

    name: str
    body: bytes
    width: int
    height: int
    content_type: str


@dataclass(frozen=True)
class _Base:
    """The decoded photo, flattened and not much larger than the variants need.

    Still as stored (not upright, not sRGB). `reach` says how far the picture goes: not quite to the
    last pixel when the photo's size, `width` and `height`, was no multiple of the reduction.
    """

    image: Image.Image
    reach: tuple[float, float]
    width: int
    height: int
    orientation: int
    icc_profile: bytes | None


def render_variants(
    source: bytes | memoryview | Path, content_type: str, forms: Forms | None = None
) -> dict[str, Variant]:
    """Make the variants of a photo: the same bytes and forms in give the same bytes out.

    `content_type` is what the uploader declared: image/jpeg, image/png or image/webp. The caller
    has limited the size of `source`. Returns JPEG variants by name, never larger than the photo,
    in their `forms`: by default `web` fits in 500x500 at quality 85; `ai` fits in 800x600 at
    quality 70, or a lower quality and then a smaller size, until it has at most 100,000 bytes.
    Transparency becomes white. Raises PhotoRejected when the file is not such a photo, breaks a
    limit, moves, or is broken.
    """
    forms = forms or Forms()
    whole = source.read_bytes() if isinstance(source, Path) else bytes(source)
    base = _decode(read_photo_file(whole, content_type), forms)
    return {"web": _variant("web", base, forms.web), "ai": _variant("ai", base, forms.ai)}


def _variant(name: str, base: _Base, form: Form) -> Variant:
    for box in _shrinking(form.box):
        picture = _scaled(base, box)
        for quality in _lowered(form.quality):
            variant = _encode(name, picture, quality)
            if form.most_bytes is None or len(variant.body) <= form.most_bytes:
                return variant
    raise AssertionError("a JPEG of a few pixels is smaller than any limit that can be set")


def _shrinking(box: tuple[int, int]) -> Iterator[tuple[int, int]]:
    width, height = box
    while width and height:
        yield width, height
        width, height = int(width * _SHRINK), int(height * _SHRINK)


def _lowered(quality: int) -> Iterator[int]:
    yield quality
    yield from range(quality - _QUALITY_STEP, LOWEST_QUALITY - 1, -_QUALITY_STEP)


def _encode(name: str, picture: Image.Image, quality: int) -> Variant:
    out = io.BytesIO()
    # For a format that it is told by name Pillow imports those of others first: 15 ms.
    out.name = f"{name}.jpg"
    picture.save(out, quality=quality, optimize=True)
    return Variant(name, out.getvalue(), picture.width, picture.height, "image/jpeg")


def _decode(photo: StrippedPhoto, forms: Forms) -> _Base:
    sizes = [
        _fit((photo.width, photo.height), _stored(form.box, photo.orientation))
        for form in (forms.web, forms.ai)
    ]
    # All have the shape of the photo, so one of them is the largest both ways.
    headroom = _WEBP_HEADROOM if photo.format == "WEBP" else _HEADROOM
    width, height = (round(headroom * side) for side in max(sizes))
    image, reach = _load(photo, (width, height))
    factor = max(1, min(image.width // width, image.height // height))
    return _Base(
        image=_flattened(image, factor),
        reach=(reach[0] / factor, reach[1] / factor),
        width=photo.width,
        height=photo.height,
        orientation=photo.orientation,
        icc_profile=photo.icc_profile,
    )


def _load(photo: StrippedPhoto, wanted: tuple[int, int]) -> tuple[Image.Image, tuple[float, float]]:
    """Decode, where the format can be, at a size near `wanted` and not below it.

    That is an eighth, quarter or half of a JPEG, and `wanted` itself of a WebP. Returns the image
    and how far the photo reaches in it. Everything Pillow is known to raise on broken files means
    the file is broken; the net is wide but holds only these calls, so that a bug of ours is not
    taken for a bad photo.
    """
    checked_size = (photo.width, photo.height)
    if photo.format == "WEBP":
        is_smaller = wanted[0] < photo.width and wanted[1] < photo.height
        size = wanted if is_smaller else checked_size
        return decode_scaled(photo, size), size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = _READERS[photo.format](cast("IO[bytes]", photo.pixel_stream))
            if image.size == checked_size:
                draft = image.draft(None, wanted)
                image.load()
                return image, draft[1][2:] if draft else checked_size
        except _DECODER_ERRORS as error:
            raise PhotoRejected(Reason.CORRUPT) from error
    # The decoder reads other dimensions than the ones that were checked.
    raise PhotoRejected(Reason.CORRUPT)


def _flattened(image: Image.Image, factor: int) -> Image.Image:
    """The image on white as RGB, L or CMYK, shrunk by a whole factor.

    Works in bands of rows, so that beside the decoded photo there is never a second one of full
    size; and flattens before it shrinks, so that invisible colours do not bleed into edges.
    """
    if factor == 1 and image.mode in _COLOUR_SPACES and "transparency" not in image.info:
        return image
    rows = factor * max(1, _BAND_PIXELS // (image.width * factor))
    base: Image.Image | None = None
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        small = _on_white(band).reduce(factor)
        if base is None:
            base = Image.new(small.mode, (small.width, math.ceil(image.height / factor)))
        base.paste(small, (0, top // factor))
    assert base is not None
    return base


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":  # a plain conversion would clip everything above 255 to white
        return image.point(lambda level: level * (1 / 257) + 0.5).convert("L")
    if image.mode in {"LA", "RGBA"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    if image.mode in _COLOUR_SPACES:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scaled(base: _Base, box: tuple[int, int]) -> Image.Image:
    """The base within the box, upright, in sRGB, carrying nothing but pixels."""
    size = _fit((base.width, base.height), _stored(box, base.orientation))
    picture = base.image.resize(
        size, Image.Resampling.LANCZOS, box=(0, 0, *base.reach), reducing_gap=_HEADROOM
    )
    if base.orientation in _UPRIGHT_TRANSPOSITIONS:
        picture = picture.transpose(_UPRIGHT_TRANSPOSITIONS[base.orientation])
    picture = _in_srgb(picture, base.icc_profile)
    # A second guard, should metadata ever reach Pillow: it writes comments it finds here.
    picture.info.clear()
    return picture


def _fit(size: tuple[float, float], box: tuple[int, int]) -> tuple[int, int]:
    scale = min(box[0] / size[0], box[1] / size[1], 1)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _stored(box: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The box as the stored photo sees it: orientations 5 to 8 lie on their side."""
    return (box[1], box[0]) if orientation >= 5 else box


def _in_srgb(picture: Image.Image, icc_profile: bytes | None) -> Image.Image:
    if icc_profile is not None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            if profile.profile.xcolor_space.strip() == _COLOUR_SPACES[picture.mode]:
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(picture, profile, srgb, outputMode="RGB")
                assert converted is not None
                return converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            # A broken profile is no reason to lose the photo: its numbers are taken for sRGB.
            pass
    return picture.convert("RGB")
