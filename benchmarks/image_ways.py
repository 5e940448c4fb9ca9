"""Ways to make the `web` and `ai` variants of a photo; each is measured in a process of its own.

    python -m benchmarks.image_ways WAY PHOTO CONTENT_TYPE [FOLDER]

Every way begins with the file's bytes in memory and ends with those of both variants. Prints what
that took as JSON; keeps the variants in FOLDER where one is named.
"""

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.resident_memory import resident_mib

if TYPE_CHECKING:
    from PIL import Image

type Variants = dict[str, bytes]
type Way = Callable[[bytes, str], Variants]

BOXES = {"web": (500, 500), "ai": (800, 600)}
QUALITIES = {"web": (85,), "ai": (70, 60, 50, 40)}
MOST_BYTES = {"web": sys.maxsize, "ai": 100_000}


@dataclass(frozen=True)
class Cost:
    """Milliseconds by the clock and of the processor (of all threads), and MiB.

    `imports` are of the processor. `first` is of the process's first photo, `next` of a second one.
    `above_import` is the most memory above what the process had with its libraries and the file.
    """

    imports: float
    first: float
    first_wall: float
    next: float
    above_import: float
    whole: float


def ours() -> Way:
    """What `on_media_uploaded` does between reading the original and publishing the variants."""
    from uploads.photo import render_variants  # noqa: PLC0415

    def make(source: bytes, content_type: str) -> Variants:
        hashlib.sha256(source).hexdigest()
        return {name: made.body for name, made in render_variants(source, content_type).items()}

    return make


def naive() -> Way:
    """Pillow as its tutorial has it: open, turn upright, resize the whole picture, save."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    def make(source: bytes, _content_type: str) -> Variants:
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(source))).convert("RGB")
        variants = {}
        for name, box in BOXES.items():
            scale = min(box[0] / upright.width, box[1] / upright.height, 1)
            size = round(upright.width * scale), round(upright.height * scale)
            picture = upright.copy().resize(size, Image.Resampling.LANCZOS)
            variants[name] = _small_enough(name, partial(_saved_by_pillow, picture))
        return variants

    return make


def vips() -> Way:
    """`thumbnail_buffer`, libvips' own way for this: it decodes at a reduced size where it can."""
    import pyvips  # noqa: PLC0415

    # As a service has it: no photo comes twice, and what is kept for that is memory.
    pyvips.cache_set_max(0)

    def make(source: bytes, _content_type: str) -> Variants:
        variants = {}
        for name, (width, height) in BOXES.items():
            lazy = pyvips.Image.thumbnail_buffer(source, width, height=height, size="down")
            # Or each quality that is tried would decode the photo again.
            picture = lazy.copy_memory() if len(QUALITIES[name]) > 1 else lazy
            variants[name] = _small_enough(name, partial(_saved_by_vips, picture))
        return variants

    return make


WAYS: dict[str, Callable[[], Way]] = {"ours": ours, "naive": naive, "vips": vips}


def _small_enough(name: str, save: Callable[[int], bytes]) -> bytes:
    for quality in QUALITIES[name]:
        body = save(quality)
        if len(body) <= MOST_BYTES[name]:
            break
    return body


def _saved_by_pillow(picture: "Image.Image", quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _saved_by_vips(picture: Any, quality: int) -> bytes:
    return bytes(picture.jpegsave_buffer(Q=quality, keep="none"))


def measured(name: str, photo: Path, content_type: str) -> tuple[Cost, Variants]:
    """Make the variants of the photo, twice; this process has done nothing else."""
    began = time.process_time()
    way = WAYS[name]()
    imports = time.process_time() - began
    source = photo.read_bytes()
    before = resident_mib("VmRSS")
    began, began_wall = time.process_time(), time.perf_counter()
    variants = way(source, content_type)
    first, first_wall = time.process_time() - began, time.perf_counter() - began_wall
    most = resident_mib("VmHWM")
    began = time.process_time()
    way(source, content_type)
    again = time.process_time() - began
    imports, first, first_wall, again = (
        1000 * seconds for seconds in (imports, first, first_wall, again)
    )
    return Cost(imports, first, first_wall, again, most - before, most), variants


if __name__ == "__main__":
    cost, made = measured(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    for folder in sys.argv[4:]:
        for variant, body in made.items():
            (Path(folder) / f"{variant}.jpg").write_bytes(body)
    print(json.dumps(asdict(cost)))
