"""The places that name the variants of a photo name the same ones."""

from tests import photos
from uploads.photo import render_variants
from uploads.processing import VARIANT_NAMES
from uploads.views import Variants


def test_what_is_made_is_what_is_shown_and_what_is_deleted() -> None:
    made = render_variants(photos.small_jpeg(), "image/jpeg")
    assert set(made) == set(VARIANT_NAMES) == set(Variants.model_fields)
    assert all(variant.name == name for name, variant in made.items())
