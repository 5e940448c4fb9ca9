"""Photo files for tests, the benchmark and the demo: good ones, odd ones and hostile ones.

Each is made once a process and always the same. None is larger than an upload may be (5 MiB).
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from random import Random

from PIL import Image, ImageCms

from local.sample_photo import camera_jpeg as _camera_jpeg
from local.sample_photo import field_scene

MAX_UPLOAD_BYTES = 5 * 1024 * 1024
ORIENTATION_TAG = 0x0112

camera_jpeg = cache(_camera_jpeg)
scene = cache(field_scene)


def encoded(picture: Image.Image, image_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, image_format, **options)
    return out.getvalue()


def exif_with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif.tobytes()


@cache
def small_jpeg() -> bytes:
    return camera_jpeg(320, 240, orientation=1)


@cache
def small_png() -> bytes:
    return encoded(scene(120, 90), "PNG")


@cache
def small_webp() -> bytes:
    return encoded(scene(120, 90), "WEBP")


@cache
def noise_jpeg() -> bytes:
    """Pure noise, no larger than the `ai` variant so that nothing smooths it."""
    size = (800, 600)
    grains = Random(1).randbytes(size[0] * size[1] * 3)
    return encoded(Image.frombytes("RGB", size, grains), "JPEG", quality=75)


@cache
def large_jpeg(width: int, height: int, *, progressive: bool = False, quality: int = 80) -> bytes:
    """A photo of 48 megapixels and more, quickly made by enlarging a small one."""
    enlarged = scene(2000, 1500).resize((width, height), Image.Resampling.BILINEAR)
    return encoded(enlarged, "JPEG", quality=quality, progressive=progressive)


@cache
def cmyk_jpeg() -> bytes:
    """With the Adobe marker and inverted inks, as print software writes it."""
    return encoded(scene(640, 480).convert("CMYK"), "JPEG")


@cache
def multi_picture_jpeg() -> bytes:
    """An MPO: the photo and, after its end, a second picture, as some phones write it."""
    frames = scene(640, 480), scene(320, 240)
    return encoded(frames[0], "MPO", save_all=True, append_images=[frames[1]])


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments put in right after its start marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def jpeg_with_profile(profile: bytes, picture: Image.Image | None = None) -> bytes:
    chosen = picture or Image.new("RGB", (64, 64), (40, 220, 60))
    return encoded(chosen, "JPEG", icc_profile=profile, quality=95, subsampling=0)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def display_p3_profile() -> bytes:
    """A matrix profile with the wide primaries of phone cameras, built by hand (ICC.1:2001)."""
    colorants = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
        b"wtpt": (0.96420, 1.0, 0.82491),
    }
    tags = {
        name: b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in xyz)
        for name, xyz in colorants.items()
    }
    gamma = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(2.2 * 256))
    tags |= {b"rTRC": gamma, b"gTRC": gamma, b"bTRC": gamma}
    table = struct.pack(">I", len(tags))
    data = b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content
    size = 128 + len(table) + len(data)
    kinds = (b"mntr", b"RGB ", b"XYZ ")
    header = struct.pack(">I4sI4s4s4s12x4s", size, b"none", 0x02400000, *kinds, b"acsp")
    header += b"\0" * 28 + struct.pack(">iii", 63190, 65536, 54061)  # the D50 illuminant
    return header.ljust(128, b"\0") + table + data


def with_alpha(picture: Image.Image) -> Image.Image:
    """The picture, the darker the less of it is seen."""
    picture = picture.copy()
    picture.putalpha(picture.convert("L"))
    return picture


# PNG by hand: Pillow cannot write broken or extreme ones -----------------------------------


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", checksum)


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """The PNG with chunks put in right after its header chunk."""
    return png[:33] + b"".join(chunks) + png[33:]


@cache
def repeated_row_png(width: int, height: int, *, depth: int = 8, color: int = 2) -> bytes:
    """A valid PNG of any size, tiny on disk and quick to make: one compressed row, repeated.

    `color` is PNG's: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
    """
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    paeth_filter = b"\x04"  # the slowest one to undo
    row = paeth_filter + bytes(byte % 251 for byte in range(width * channels * depth // 8))
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    end_of_stream = b"\x03\x00"
    checksum = 1
    for _ in range(height):
        checksum = zlib.adler32(row, checksum)
    packed = b"\x78\x9c" + block * height + end_of_stream + struct.pack(">I", checksum)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    palette = png_chunk(b"PLTE", bytes(range(256)) * 3) if color == 3 else b""
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            palette,
            png_chunk(b"IDAT", packed),
            png_chunk(b"IEND", b""),
        ]
    )


@cache
def sixteen_bit_png() -> bytes:
    """Grey at 16 bits a pixel, a ramp from black to white."""
    ramp = Image.linear_gradient("L").convert("I").point(lambda level: level * 257)
    return encoded(ramp.convert("I;16"), "PNG")


@cache
def palette_with_alpha_png() -> bytes:
    """Left half opaque red, right half fully transparent (over an invisible black)."""
    picture = Image.new("P", (60, 40), 0)
    picture.putpalette([255, 0, 0, 0, 0, 0])
    picture.paste(1, (30, 0, 60, 40))
    return encoded(picture, "PNG", transparency=bytes([255, 0]))


@cache
def animated(image_format: str) -> bytes:
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "green", "blue")]
    return encoded(frames[0], image_format, save_all=True, append_images=frames[1:], duration=80)


@cache
def compressed_text_png() -> bytes:
    """4,000 text chunks that unpack to a megabyte each: ten seconds in a reader that tries."""
    megabyte = zlib.compress(b"\0" * 1_000_000, 9)[:-4]  # the checksum is missing: an error, late
    return with_chunks(small_png(), png_chunk(b"zTXt", b"k\0\0" + megabyte) * 4000)


@cache
def profile_bomb_png() -> bytes:
    """A colour profile of 1 MB that unpacks to 1 GB."""
    packer = zlib.compressobj(9)
    block = packer.compress(bytes(16_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    # 64 times the same, but for the two bytes that only the first block starts with.
    packed = block + block[2:] * 63
    return with_chunks(small_png(), png_chunk(b"iCCP", b"icc\0\0" + packed))


# JPEG bombs ---------------------------------------------------------------------------------


@cache
def exif_bomb_jpeg() -> bytes:
    """5,000 EXIF tags that all point at the same 60,000 bytes: 300 MB in a reader that copies."""
    entries = 5000
    tiff = b"MM\0*" + struct.pack(">IH", 8, entries)
    tiff += b"".join(struct.pack(">HHII", tag + 1, 7, 60_000, 8) for tag in range(entries))
    body = (b"Exif\0\0" + tiff).ljust(65_533, b"\0")
    return with_segments(encoded(scene(320, 240), "JPEG"), jpeg_segment(0xE1, body))


@cache
def scan_bomb_jpeg(width: int = 8000, height: int = 6000, scans: int = 2000) -> bytes:
    """A flat progressive JPEG whose last scan, a few hundred bytes, is repeated."""
    jpeg = encoded(Image.new("L", (width, height), 128), "JPEG", progressive=True)
    tables_and_scan = jpeg[jpeg.rindex(b"\xff\xc4") : jpeg.rindex(b"\xff\xd9")]
    repeats = min(scans, (MAX_UPLOAD_BYTES - len(jpeg)) // len(tables_and_scan))
    return jpeg[:-2] + tables_and_scan * repeats + b"\xff\xd9"


@cache
def hidden_scan_bomb_jpeg(side: int = 8000, scans: int = 400) -> bytes:
    """A grey progressive JPEG of nothing but empty scans, all but one behind a reserved marker.

    FF 02 is reserved and has no length. Who reads one all the same steps over the scans; a decoder
    in search of restart markers (DRI is 1) finds them, and fills the whole picture for each.
    """
    one_code = bytes([1]) + bytes(16)  # of one bit, for the symbol 0
    scan = jpeg_segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + b"\x00\x00"
    return b"".join(
        [
            b"\xff\xd8",
            jpeg_segment(0xDB, b"\x00" + b"\x01" * 64),
            jpeg_segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00"),
            jpeg_segment(0xC4, b"\x00" + one_code),
            jpeg_segment(0xC4, b"\x10" + one_code),
            jpeg_segment(0xDD, struct.pack(">H", 1)),
            scan,
            jpeg_segment(0x02, scan * scans),
            b"\xff\xd9",
        ]
    )


def jpeg_claiming(width: int, height: int, jpeg: bytes | None = None) -> bytes:
    """A JPEG whose header says it has other dimensions."""
    source = bytearray(jpeg or small_jpeg())
    frame = source.index(b"\xff\xc0\x00\x11")
    struct.pack_into(">HH", source, frame + 5, height, width)
    return bytes(source)


@cache
def webp_claiming(width: int, height: int) -> bytes:
    """A WebP whose header says it has other dimensions."""
    source = bytearray(small_webp())
    assert source[12:16] == b"VP8 "
    struct.pack_into("<HH", source, 26, width, height)
    return bytes(source)


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zero bytes": ("image/jpeg", lambda: b""),
    "text named .jpg": ("image/jpeg", lambda: b"Dear sir, my maize is yellow.\n" * 200),
    "HTML after a JPEG's first bytes": (
        "image/jpeg",
        lambda: b"\xff\xd8\xff<html><script>alert(1)</script></html>",
    ),
    "SVG named .png": ("image/png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "GIF named .png": ("image/png", lambda: encoded(scene(64, 48), "GIF")),
    "PNG declared as JPEG": ("image/jpeg", small_png),
    "truncated JPEG": ("image/jpeg", lambda: camera_jpeg()[:1_000_000]),
    "truncated PNG": ("image/png", lambda: small_png()[: len(small_png()) // 2]),
    "truncated WebP": ("image/webp", lambda: small_webp()[: len(small_webp()) // 2]),
    "88 MP PNG": ("image/png", lambda: repeated_row_png(11_000, 8_000)),
    "JPEG claiming 65,500 x 65,500": ("image/jpeg", lambda: jpeg_claiming(65_500, 65_500)),
    "JPEG claiming 8,000 x 6,000": ("image/jpeg", lambda: jpeg_claiming(8_000, 6_000)),
    "WebP claiming 16,383 x 16,383": ("image/webp", lambda: webp_claiming(16_383, 16_383)),
    "WebP claiming 4,000 x 3,000": ("image/webp", lambda: webp_claiming(4_000, 3_000)),
    "animated WebP": ("image/webp", lambda: animated("WEBP")),
    "animated PNG": ("image/png", lambda: animated("PNG")),
    "JPEG of 2,000 scans": ("image/jpeg", scan_bomb_jpeg),
    "JPEG of 400 hidden scans": ("image/jpeg", hidden_scan_bomb_jpeg),
}
"""Name -> (declared type, file). Every one of them has to be rejected."""

ODD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "1 x 1 JPEG": ("image/jpeg", lambda: encoded(Image.new("RGB", (1, 1)), "JPEG")),
    "1 x 1 PNG": ("image/png", lambda: encoded(Image.new("1", (1, 1)), "PNG")),
    "1 x 1 WebP": ("image/webp", lambda: encoded(Image.new("RGB", (1, 1)), "WEBP")),
    "CMYK JPEG": ("image/jpeg", cmyk_jpeg),
    "16-bit PNG": ("image/png", sixteen_bit_png),
    "palette PNG with alpha": ("image/png", palette_with_alpha_png),
    "MPO": ("image/jpeg", multi_picture_jpeg),
    "JPEG with a zip behind it": ("image/jpeg", lambda: small_jpeg() + b"PK\x03\x04" + b"x" * 999),
    "EXIF bomb JPEG": ("image/jpeg", exif_bomb_jpeg),
    "PNG of 4,000 packed texts": ("image/png", compressed_text_png),
    "PNG with a 1 GB profile": ("image/png", profile_bomb_png),
    "48 MP JPEG": ("image/jpeg", lambda: large_jpeg(8_000, 6_000)),
    "50 MP progressive JPEG": ("image/jpeg", lambda: large_jpeg(8_160, 6_144, progressive=True)),
    "64 MP JPEG": ("image/jpeg", lambda: large_jpeg(9_280, 6_944)),
    "65,500 x 900 JPEG": ("image/jpeg", lambda: large_jpeg(65_500, 900, quality=40)),
    "64 MP JPEG of 24 scans": ("image/jpeg", lambda: scan_bomb_jpeg(9_280, 6_944, 24 - 6)),
    "26 MP RGB PNG": ("image/png", lambda: repeated_row_png(5_160, 5_160)),
    "20 MP RGBA PNG": ("image/png", lambda: repeated_row_png(4_470, 4_470, color=6)),
    "13 MP 16-bit RGB PNG": ("image/png", lambda: repeated_row_png(4_400, 3_000, depth=16)),
    "36 MP palette PNG": ("image/png", lambda: repeated_row_png(6_000, 6_000, color=3)),
    "65,500 x 300 RGBA PNG": ("image/png", lambda: repeated_row_png(65_500, 300, color=6)),
    "12 MP PNG": ("image/png", lambda: repeated_row_png(4_000, 3_000)),
    "12 MP WebP": (
        "image/webp",
        lambda: encoded(scene(4_000, 3_000), "WEBP", quality=88, method=0),
    ),
    "24 MP lossless WebP": (
        "image/webp",
        lambda: encoded(
            scene(1_500, 1_000).point(lambda level: level & 0xF8).resize((6_000, 4_000), 0),
            "WEBP",
            lossless=True,
            method=0,
            quality=10,
        ),
    ),
    "24 MP WebP with alpha": (
        "image/webp",
        lambda: encoded(
            with_alpha(scene(900, 600)).resize((6_000, 4_000)), "WEBP", method=0, quality=10
        ),
    ),
}
"""Name -> (declared type, file). Every one of them has to give variants."""
