"""What each key may be set to."""

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fieldgate.configuration import REGISTRY
from fieldgate.configuration.registry import LONGEST_SIDE

ANY_JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
)
KEYS = st.sampled_from(sorted(REGISTRY))
OF_TYPE: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "text": (str,),
}


def test_the_keys_and_what_is_in_force_until_they_are_set() -> None:
    assert {key: setting.default for key, setting in REGISTRY.items()} == {
        "IMAGE_MAX_SIZE_MB": 5,
        "IMAGE_ENABLE_AUTO_RESIZE": True,
        "IMAGE_MAX_WIDTH": 500,
        "IMAGE_MAX_HEIGHT": 500,
        "IMAGE_RESIZE_QUALITY": 85,
        "AI_IMAGE_MAX_SIZE_MB": 0.1,
        "AI_IMAGE_OPTIMIZATION": True,
        "AI_IMAGE_MAX_WIDTH": 800,
        "AI_IMAGE_MAX_HEIGHT": 600,
        "AI_IMAGE_QUALITY": 70,
        "STOCK_TIME_ZONE": "Africa/Nairobi",
    }


@pytest.mark.parametrize("key", REGISTRY)
def test_a_default_is_fit_for_its_key(key: str) -> None:
    setting = REGISTRY[key]
    assert setting.key == key
    assert setting.fault(setting.default) == ""
    assert setting.category
    assert setting.description[0].isupper()
    assert not setting.description.endswith(".")


@given(KEYS, ANY_JSON)
@example("IMAGE_MAX_WIDTH", "5")
@example("IMAGE_MAX_WIDTH", True)
@example("IMAGE_MAX_WIDTH", 500.0)
@example("IMAGE_MAX_WIDTH", 10**5000)
@example("IMAGE_MAX_SIZE_MB", math.nan)
@example("IMAGE_MAX_SIZE_MB", math.inf)
@example("AI_IMAGE_OPTIMIZATION", 1)
@example("STOCK_TIME_ZONE", "Africa/\0Nairobi")
def test_whatever_is_taken_is_of_its_type_and_within_its_bounds(key: str, value: Any) -> None:
    setting = REGISTRY[key]
    fault = setting.fault(value)
    if fault:
        assert fault.startswith("must be ")
        return
    assert type(value) in OF_TYPE[setting.type]
    if setting.type in {"integer", "number"}:
        assert setting.least <= value <= setting.most


@given(KEYS, st.data())
def test_whatever_is_of_its_type_and_within_its_bounds_is_taken(
    key: str, data: st.DataObject
) -> None:
    setting = REGISTRY[key]
    values: dict[str, st.SearchStrategy[Any]] = {
        "boolean": st.booleans(),
        "text": st.sampled_from(["Africa/Nairobi", "Africa/Kampala", "Europe/Lisbon", "UTC"]),
    }
    if setting.type == "integer":
        values["integer"] = st.integers(int(setting.least), int(setting.most))
    if setting.type == "number":
        values["number"] = st.floats(setting.least, setting.most)
    assert setting.fault(data.draw(values[setting.type])) == ""


@pytest.mark.parametrize("key", REGISTRY)
def test_the_bounds_of_pictures_hold_on_both_sides(key: str) -> None:
    setting = REGISTRY[key]
    if setting.type not in {"integer", "number"}:
        return
    least, most = (
        int(bound) if setting.type == "integer" else bound
        for bound in (setting.least, setting.most)
    )
    assert [setting.fault(bound) for bound in (least, most)] == ["", ""]
    for outside in (least - 1, most + 1):
        assert setting.fault(outside) == f"must be from {setting.least:g} to {setting.most:g}"


def test_no_picture_can_be_larger_than_the_function_has_memory_for() -> None:
    """And so none can be worked on that is: see benchmarks/photo_memory.py."""
    sides = {REGISTRY[key].most for key in REGISTRY if key.endswith(("_WIDTH", "_HEIGHT"))}
    assert sides == {LONGEST_SIDE}


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Nairobi",
        "africa/nairobi",
        "Africa",
        "../etc/passwd",
        "/etc/localtime",
        "Factory",
        "localtime",
        "Africa/Nairobi ",
        "EAT",
        "UTC+3",
        "x" * 10_000,
        "\ud800",
    ],
)
def test_a_time_zone_has_its_name_in_the_iana_database(zone: str) -> None:
    assert REGISTRY["STOCK_TIME_ZONE"].fault(zone) == (
        'must be a time zone, named as in "Africa/Nairobi"'
    )
