"""The keys that there are: their types, what is in force until somebody sets them, and bounds.

The bounds of pictures keep the function that makes them within its memory and time, whatever is
set: benchmarks/photo_memory.py measures it at their far ends.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import TypeAdapter

type Value = bool | int | float | str
type Type = Literal["boolean", "integer", "number", "text"]

# What a picture's side has at most, scaled down or not: more than screens show, and as much as can
# be made of a photo of 65 megapixels within the memory of the function that does.
LONGEST_SIDE = 4096


@dataclass(frozen=True)
class Setting:
    """A key. `least` and `most` are the bounds of a number; `check` says what else is wrong."""

    key: str
    type: Type
    default: Value
    category: str
    description: str
    least: float = -math.inf
    most: float = math.inf
    check: Callable[[Any], str] | None = None

    def fault(self, value: Any) -> str:
        """Return what is wrong with a value that JSON has; "" when it is fit for this key.

        "5" is no 5 here, and neither is true.
        """
        if not _has_type(value, self.type):
            return _NEEDED[self.type]
        # A number that is none (NaN) is within no bounds.
        if self.type in {"integer", "number"} and not self.least <= value <= self.most:
            return f"must be from {self.least:g} to {self.most:g}"
        return self.check(value) if self.check else ""


_NEEDED: Mapping[Type, str] = {
    "boolean": "must be true or false",
    "integer": "must be a whole number",
    "number": "must be a number",
    "text": "must be a text",
}


def _has_type(value: Any, wanted: Type) -> bool:
    match wanted:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return type(value) is int
        case "number":
            return type(value) in {int, float}
        case "text":
            return isinstance(value, str)


def _time_zone_fault(name: str) -> str:
    from pydantic import ValidationError

    try:
        _time_zones().validate_python(name)
    except ValidationError:
        return 'must be a time zone, named as in "Africa/Nairobi"'
    return ""


@cache
def _time_zones() -> "TypeAdapter[str]":
    from pydantic import TypeAdapter

    from fieldgate.time_zones import TimeZone

    return TypeAdapter(TimeZone)


_IMAGES, _AI_IMAGES, _STOCK = "images", "ai_images", "stock"

_SETTINGS = (
    Setting(
        "IMAGE_MAX_SIZE_MB",
        "number",
        5,
        _IMAGES,
        "The most that a photo sent in one request may have, in MB of 1,048,576 bytes",
        0.1,
        50,
    ),
    Setting(
        "IMAGE_ENABLE_AUTO_RESIZE",
        "boolean",
        True,
        _IMAGES,
        "Whether the picture for people is made to fit the width and height below; without, it"
        f" keeps its size up to {LONGEST_SIDE} pixels a side",
    ),
    Setting(
        "IMAGE_MAX_WIDTH",
        "integer",
        500,
        _IMAGES,
        "The most pixels across of the picture for people",
        16,
        LONGEST_SIDE,
    ),
    Setting(
        "IMAGE_MAX_HEIGHT",
        "integer",
        500,
        _IMAGES,
        "The most pixels down of the picture for people",
        16,
        LONGEST_SIDE,
    ),
    Setting(
        "IMAGE_RESIZE_QUALITY",
        "integer",
        85,
        _IMAGES,
        "The JPEG quality of the picture for people",
        30,
        95,
    ),
    Setting(
        "AI_IMAGE_MAX_SIZE_MB",
        "number",
        0.1,
        _AI_IMAGES,
        "The most that the picture for models may have, in MB of 1,000,000 bytes",
        0.01,
        5,
    ),
    Setting(
        "AI_IMAGE_OPTIMIZATION",
        "boolean",
        True,
        _AI_IMAGES,
        "Whether the picture for models is made to fit the width, height and size below; without,"
        f" it keeps its size up to {LONGEST_SIDE} pixels a side",
    ),
    Setting(
        "AI_IMAGE_MAX_WIDTH",
        "integer",
        800,
        _AI_IMAGES,
        "The most pixels across of the picture for models",
        16,
        LONGEST_SIDE,
    ),
    Setting(
        "AI_IMAGE_MAX_HEIGHT",
        "integer",
        600,
        _AI_IMAGES,
        "The most pixels down of the picture for models",
        16,
        LONGEST_SIDE,
    ),
    Setting(
        "AI_IMAGE_QUALITY",
        "integer",
        70,
        _AI_IMAGES,
        "The JPEG quality of the picture for models, which is lowered where it has too many bytes",
        30,
        95,
    ),
    Setting(
        "STOCK_TIME_ZONE",
        "text",
        "Africa/Nairobi",
        _STOCK,
        "The time zone of warehouses made from now on",
        check=_time_zone_fault,
    ),
)
REGISTRY: Mapping[str, Setting] = {setting.key: setting for setting in _SETTINGS}
