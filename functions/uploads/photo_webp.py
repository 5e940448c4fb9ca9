"""WebP, decoded at the size that is needed.

Pillow decodes WebP by the reader of animations: four copies of the whole picture, 16 bytes a pixel.
libwebp scales while it decodes, row by row, and is there because Pillow brings it, so it is called
here (https://developers.google.com/speed/webp/docs/api). The structures are those of its
`webp/decode.h`; it refuses those of another version.
"""

import ctypes
from functools import cache

from PIL import Image, _webp

from uploads.photo_file import PhotoRejected, Reason, StrippedPhoto

# Of `webp/decode.h`; compatible while the upper byte is the same.
_ABI_VERSION = 0x0209
_OK = 0
_COLOUR_SPACES = {"RGB": 0, "RGBA": 1}
_WORDS = ctypes.c_uint32 * 5


def _ints(*names: str) -> list[tuple[str, type[ctypes.c_int]]]:
    return [(name, ctypes.c_int) for name in names]


class _Features(ctypes.Structure):
    _fields_ = (
        *_ints("width", "height", "has_alpha", "has_animation", "format"),
        ("pad", _WORDS),
    )


class _Pixels(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_void_p),
        ("stride", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


class _Planes(ctypes.Structure):
    """Not used; it says how large the union is that holds `_Pixels`."""

    _fields_ = (
        ("starts", ctypes.c_void_p * 4),
        ("strides", ctypes.c_int * 4),
        ("sizes", ctypes.c_size_t * 4),
    )


class _Layout(ctypes.Union):
    _fields_ = (("pixels", _Pixels), ("planes", _Planes))


class _Output(ctypes.Structure):
    _fields_ = (
        *_ints("colorspace", "width", "height", "is_external_memory"),
        ("layout", _Layout),
        ("pad", ctypes.c_uint32 * 4),
        ("private_memory", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        *_ints("bypass_filtering", "no_fancy_upsampling"),
        *_ints("use_cropping", "crop_left", "crop_top", "crop_width", "crop_height"),
        *_ints("use_scaling", "scaled_width", "scaled_height"),
        *_ints("use_threads", "dithering_strength", "flip", "alpha_dithering_strength"),
        ("pad", _WORDS),
    )


class _Config(ctypes.Structure):
    _fields_ = (("input", _Features), ("output", _Output), ("options", _Options))


def decode_scaled(photo: StrippedPhoto, size: tuple[int, int]) -> Image.Image:
    """Decode a WebP into a picture of `size`, RGB or RGBA; each pixel is the mean of its area.

    Raises PhotoRejected: it is broken, or has another size than was checked.
    """
    library, config = _library(), _new_config()
    file = photo.pixel_stream.read()
    of_file = (file, len(file))
    found = library.WebPGetFeaturesInternal(*of_file, config.input, _ABI_VERSION)
    if found != _OK or (config.input.width, config.input.height) != (photo.width, photo.height):
        raise PhotoRejected(Reason.CORRUPT)
    mode, channels = ("RGBA", 4) if config.input.has_alpha else ("RGB", 3)
    width, height = size
    pixels = bytearray(width * height * channels)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pixels))
    config.output.colorspace = _COLOUR_SPACES[mode]
    config.output.is_external_memory = 1
    config.output.layout.pixels = _Pixels(start, width * channels, len(pixels))
    config.options.use_scaling = size != (photo.width, photo.height)
    config.options.scaled_width, config.options.scaled_height = size
    if library.WebPDecode(*of_file, config) != _OK:
        raise PhotoRejected(Reason.CORRUPT)
    return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)


def _new_config() -> _Config:
    config = _Config()
    if not _library().WebPInitDecoderConfigInternal(config, _ABI_VERSION):
        raise RuntimeError("Pillow's libwebp has another interface than is written here")
    return config


@cache
def _library() -> ctypes.CDLL:
    """Return libwebp as it is loaded already: found among what Pillow's own module needs."""
    library = ctypes.CDLL(_webp.__file__)
    size, config = ctypes.c_size_t, ctypes.POINTER(_Config)
    library.WebPInitDecoderConfigInternal.argtypes = config, ctypes.c_int
    library.WebPGetFeaturesInternal.argtypes = (
        *(ctypes.c_char_p, size),
        *(ctypes.POINTER(_Features), ctypes.c_int),
    )
    library.WebPDecode.argtypes = ctypes.c_char_p, size, config
    return library
