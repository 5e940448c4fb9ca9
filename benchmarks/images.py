"""Photos: what it takes to make their variants, and how good those are.

    python -m benchmarks.images [--runs 5]

Ours against pyvips and against Pillow as its tutorial has it, each photo and way in a new process,
in turns. Exit code 1 when a goal is missed: 1.3 times pyvips' time at equal or better similarity,
less memory than pyvips, a third of Pillow's time. The variants of the last run are kept in
.build/bench/variants to be looked at. Linux only.
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from rich.console import Console
from skimage.metrics import structural_similarity

from benchmarks.command_line import parser
from benchmarks.image_ways import BOXES, Cost
from benchmarks.results import ROOT, Comparison, Section, Table, publish
from benchmarks.sample_photos import made, phone_jpeg, png, webp

MOST_OF_VIPS = 1.3
MOST_OF_NAIVE = 1 / 3
# SSIM is 1 for the same picture; nobody sees a difference of this.
SAME_SIMILARITY = 0.001
WAYS = ("ours", "vips", "naive")
# One thread each. The function's 1,024 MB buy 0.58 of a processor: threads would gain nothing.
ONE_THREAD = {"VIPS_CONCURRENCY": "1"}
VARIANTS = ROOT / ".build/bench/variants"

PNG = "12 MP PNG"
PHOTOS = {
    "12 MP JPEG": ("image/jpeg", "12mp.jpg", phone_jpeg(4000, 3000, 90)),
    "48 MP JPEG": ("image/jpeg", "48mp.jpg", phone_jpeg(8000, 6000, 90)),
    PNG: ("image/png", "12mp.png", png(4000, 3000)),
    "12 MP WebP": ("image/webp", "12mp.webp", webp(4000, 3000, 85)),
}

INTRO = """
What `on_media_uploaded` does between reading an original and publishing its variants (its digest,
the checks of the file, stripping, decoding, scaling, encoding; no storage and no database) against
pyvips' `thumbnail_buffer` and against Pillow as its tutorial has it (open, `exif_transpose`, resize
the whole picture with LANCZOS, save). The same variants: 500 x 500 at quality 85, 800 x 600 at
quality 70 or a lower one until it has at most 100,000 bytes. The photos are drawn, once, with the
detail and the grain of real ones. Each value is of the first photo in a new process whose libraries
are imported already. Times are of the processor, all threads together, because the function has
0.58 of one; pyvips has one thread and, as in a service, no cache of operations. Memory is the peak
above what the process held with its libraries and the file. Similarity is SSIM of the luma, the
mean of both variants, against the whole picture scaled by LANCZOS in floating point.
"""
NOTES = (
    (
        "PNG can't be decoded smaller. libvips' decoder is faster than Pillow's, and it decodes"
        " once for each variant."
    ),
    (
        "libvips scales a WebP to the variant's very size while it decodes, which costs"
        " similarity; ours decodes it at 1.75 times the larger variant's and scales by LANCZOS."
    ),
    (
        "Ours codes its variants with Huffman tables of their own (`optimize`): 1 ms each, 2 %"
        " fewer bytes. The others are called as their documentation does."
    ),
)

_say = Console(stderr=True).print


@dataclass
class Measured:
    """One photo, one way: what each run took, and the similarity of each variant."""

    costs: list[Cost] = field(default_factory=list)
    similarity: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def all(self, name: str) -> list[float]:
        return [getattr(cost, name) for cost in self.costs]

    def median(self, name: str) -> float:
        return statistics.median(self.all(name))


def main() -> int:
    runs = parser(__doc__).parse_args().runs
    found = {}
    for name, (content_type, file, draw) in PHOTOS.items():
        _say(f"{name}, {runs} runs of {', '.join(WAYS)}")
        found[name] = compared(made(file, draw), content_type, runs)
    return publish(section(found))


def compared(photo: Path, content_type: str, runs: int) -> dict[str, Measured]:
    """Have each way make the variants of the photo, in turns."""
    of = {way: Measured() for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            folder = VARIANTS / photo.name / way
            folder.mkdir(parents=True, exist_ok=True)
            of[way].costs.append(run(way, photo, content_type, folder, ONE_THREAD))
    whole = ImageOps.exif_transpose(Image.open(photo)).convert("L").convert("F")
    for way in WAYS:
        for variant in BOXES:
            path = VARIANTS / photo.name / way / f"{variant}.jpg"
            of[way].similarity[variant] = similarity(path, whole)
            of[way].bytes[variant] = path.stat().st_size
    of["vips, its own number of threads"] = Measured(
        [run("vips", photo, content_type, folder, {}) for _ in range(min(runs, 3))]
    )
    return of


def run(way: str, photo: Path, content_type: str, folder: Path, settings: dict[str, str]) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.image_ways", way, str(photo), content_type, str(folder)],
        cwd=ROOT,
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **settings},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return Cost(**json.loads(done.stdout))


def similarity(path: Path, whole: Image.Image) -> float:
    """Return the SSIM of a variant and the whole picture (luma, floating point) at its size."""
    with Image.open(path) as variant:
        reference = whole.resize(variant.size, Image.Resampling.LANCZOS)
        return float(
            structural_similarity(
                np.asarray(variant.convert("L"), dtype=np.float64),
                np.asarray(reference, dtype=np.float64),
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )


def section(found: dict[str, dict[str, Measured]]) -> Section:
    return Section(
        name="images",
        title="Photos: time, memory and similarity of their variants",
        intro=INTRO.strip(),
        comparisons=[each for name, of in found.items() for each in comparisons(name, of)],
        tables=[details(found)],
        notes=NOTES,
    )


def comparisons(name: str, of: dict[str, Measured]) -> list[Comparison]:
    ours, vips, naive = (of[way] for way in WAYS)

    def compared_with(
        theirs: Measured, against: str, most: float, what: str, unit: str, goal: str
    ) -> Comparison:
        figure = "first" if unit == "ms" else "above_import"
        met = ours.median(figure) <= most * theirs.median(figure)
        return Comparison(
            f"{name}, {what}", unit, ours.all(figure), theirs.all(figure), against, goal, met
        )

    plain = compared_with(
        naive, "plain Pillow", MOST_OF_NAIVE, "time", "ms", "at most 1/3 of Pillow"
    )
    if name == PNG:
        plain = replace(plain, limits=decoder_limits(naive.median("first")))
    return [
        compared_with(vips, "pyvips", MOST_OF_VIPS, "time", "ms", "at most 1.3 of pyvips"),
        plain,
        compared_with(vips, "pyvips", 1, "memory", "MiB", "below pyvips"),
        Comparison(
            f"{name}, similarity",
            "SSIM",
            [mean(ours)],
            [mean(vips)],
            "pyvips",
            "equal (within 0.001) or better",
            mean(ours) >= mean(vips) - SAME_SIMILARITY,
            more_is_better=True,
        ),
    ]


def mean(measured: Measured) -> float:
    return statistics.mean(measured.similarity.values())


HEADER = (
    *("photo", "way", "imports, ms", "first photo, ms", "by the clock, ms", "next photo, ms"),
    *("memory above import, MiB", "whole process, MiB", "SSIM web", "SSIM ai", "KB web, ai"),
)


def details(found: dict[str, dict[str, Measured]]) -> Table:
    rows = [
        (name, way, *cells(measured)) for name, of in found.items() for way, measured in of.items()
    ]
    return Table("Each way in full (medians)", HEADER, rows)


def cells(measured: Measured) -> list[str]:
    figures = ("imports", "first", "first_wall", "next", "above_import", "whole")
    values = [f"{measured.median(figure):,.0f}" for figure in figures]
    if not measured.similarity:
        return [*values, "", "", ""]
    similar = [f"{measured.similarity[variant]:.4f}" for variant in BOXES]
    size = ", ".join(f"{measured.bytes[variant] / 1000:.0f}" for variant in BOXES)
    return [*values, *similar, size]


def decoder_limits(plain: float) -> str:
    """Say what limits the PNG, of which plain Pillow takes so many milliseconds."""
    decoding = statistics.median(decoding_seconds() for _ in range(3)) * 1000
    return (
        "Both ways of Pillow have one decoder, which can't decode a PNG smaller and takes"
        f" {decoding:,.0f} ms of plain Pillow's {plain:,.0f} ms before anything else is done."
    )


def decoding_seconds() -> float:
    """Return what Pillow takes to decode the PNG, in a new process."""
    code = (
        "import sys, time; from PIL import Image, PngImagePlugin; began = time.process_time();"
        "Image.open(sys.argv[1]).load(); print(time.process_time() - began)"
    )
    photo = made(PHOTOS[PNG][1], PHOTOS[PNG][2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(photo)], stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
