"""What a test sees of a picture."""

import io

from PIL import Image, ImageChops, ImageStat

from tests import photos
from uploads.photo import Variant


def opened(variant: Variant) -> Image.Image:
    picture = Image.open(io.BytesIO(variant.body), formats=["JPEG"])
    picture.load()
    return picture


def pixel(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    value = picture.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def as_web_jpeg(picture: Image.Image) -> Image.Image:
    """The picture with the losses that the `web` variant has by its encoding alone."""
    with Image.open(io.BytesIO(photos.encoded(picture, "JPEG", quality=85))) as encoded:
        encoded.load()
        return encoded


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two RGB pictures of one size, in levels of 255."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)
