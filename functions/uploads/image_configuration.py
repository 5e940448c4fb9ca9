"""What admins have set of photos."""

from typing import Any

from fieldgate import configuration
from fieldgate.configuration.registry import LONGEST_SIDE
from uploads.variant_forms import Form, Forms

# Photos may have 65 megapixels; the whole of one, several times over, is more than the function
# that makes variants has memory for.
UNSCALED = (LONGEST_SIDE, LONGEST_SIDE)


def most_photo_bytes() -> int:
    """Return how many bytes a photo may have now that comes in one request."""
    return int(configuration.value("IMAGE_MAX_SIZE_MB") * 1024 * 1024)


def forms_in_force() -> Forms:
    """Return the forms of variants now.

    There are always both: `web` without resizing keeps its size as far as `UNSCALED`, and so does
    `ai` without optimising, and then has as many bytes as that takes.
    """
    of: dict[str, Any] = configuration.values()
    web_box, ai_box, ai_bytes = UNSCALED, UNSCALED, None
    if of["IMAGE_ENABLE_AUTO_RESIZE"]:
        web_box = of["IMAGE_MAX_WIDTH"], of["IMAGE_MAX_HEIGHT"]
    if of["AI_IMAGE_OPTIMIZATION"]:
        ai_box = of["AI_IMAGE_MAX_WIDTH"], of["AI_IMAGE_MAX_HEIGHT"]
        ai_bytes = round(of["AI_IMAGE_MAX_SIZE_MB"] * 1_000_000)
    return Forms(
        web=Form(web_box, of["IMAGE_RESIZE_QUALITY"]),
        ai=Form(ai_box, of["AI_IMAGE_QUALITY"], ai_bytes),
    )
