"""The forms in which a photo is published."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """A picture that fits `box`, at a JPEG quality, and with no more bytes than `most_bytes`.

    Where it would have more, its quality is lowered, and then its size.
    """

    box: tuple[int, int]
    quality: int
    most_bytes: int | None = None


@dataclass(frozen=True)
class Forms:
    """Those of both variants, and what they are unless told."""

    web: Form = Form((500, 500), 85)
    # "At most 0.1 MB", read the strict way.
    ai: Form = Form((800, 600), 70, 100_000)
