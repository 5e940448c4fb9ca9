"""What is taken of what people write about stock."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from stock.request_types import Day, Product, Quantity, Reason, Unit, Warehouse
from stock.views import Number

quantities = TypeAdapter(Quantity)
days = TypeAdapter(Day)
numbers = TypeAdapter(Number)
TEXTS = {"product": Product, "unit": Unit, "warehouse": Warehouse, "reason": Reason}


def is_taken(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@given(thousandths=st.integers(1, 10**14 - 1))
def test_every_quantity_is_kept_to_the_thousandth_and_shown_as_it_was_written(
    thousandths: int,
) -> None:
    written = Decimal(thousandths).scaleb(-3)
    quantity = quantities.validate_python(json.loads(str(written)))
    assert quantity == written
    shown = numbers.dump_json(quantity)
    assert numbers.validate_json(shown) == written
    assert Decimal(shown.decode()) == written


@pytest.mark.parametrize(
    ("quantity", "shown"), [(Decimal("12.500"), b"12.5"), (Decimal("7.000"), b"7")]
)
def test_a_quantity_is_shown_without_zeros_that_say_nothing(
    quantity: Decimal, shown: bytes
) -> None:
    assert numbers.dump_json(quantity) == shown


@pytest.mark.parametrize(
    "written",
    [
        *("0", "-0.0", "-1", "0.0004", "1.0001", "100000000000", "1e400", "1e-400", "9" * 400),
        *("NaN", "Infinity", "-Infinity", "true", "null", '"5"', "[5]", "{}"),
    ],
)
def test_what_is_no_quantity(written: str) -> None:
    with pytest.raises(ValidationError):
        quantities.validate_python(json.loads(written))


@given(value=st.floats() | st.integers())
def test_whatever_number_comes_is_refused_or_is_what_the_database_can_keep(value: float) -> None:
    try:
        quantity = quantities.validate_python(value)
    except ValidationError:
        return
    assert 0 < quantity < 10**11
    assert quantity.as_tuple().exponent == -3
    assert float(quantity) == value


@given(day=st.dates())
def test_a_day_is_written_as_its_iso_date(day: date) -> None:
    assert days.validate_python(day.isoformat()) == day


@pytest.mark.parametrize(
    "value",
    [
        *("2026-02-29", "2026-13-01", "0000-01-01", "2026-3-2", "20260302", "2026-W10-1", ""),
        *("2026-03-02T00:00:00", "2026-03-02 ", "2026-03-02\n", "٢٠٢٦-٠٣-٠٢"),
        *(1772409600, 1.5, None, True, ["2026-03-02"], date(2026, 3, 2)),
    ],
)
def test_what_is_no_day(value: Any) -> None:
    with pytest.raises(ValidationError):
        days.validate_python(value)


@pytest.mark.parametrize(
    ("name", "most"), [("product", 200), ("unit", 20), ("warehouse", 100), ("reason", 500)]
)
def test_a_text_has_one_character_at_least_and_so_many_at_most(name: str, most: int) -> None:
    assert is_taken(TEXTS[name], "x")
    assert is_taken(TEXTS[name], "x" * most)
    assert not is_taken(TEXTS[name], "x" * (most + 1))
    assert not is_taken(TEXTS[name], "")
    assert not is_taken(TEXTS[name], " \t ")


@pytest.mark.parametrize("kind", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    "value", ["a\nb", "a\0b", "a\x7fb", "a\u202eb", "a\u200bb", "\ud800", 5, None, ["a"]]
)
def test_what_can_not_be_shown_is_refused(kind: Any, value: Any) -> None:
    assert not is_taken(kind, value)


@given(value=st.text(max_size=120))
def test_whatever_text_comes_is_refused_or_is_trimmed_and_can_be_shown(value: str) -> None:
    for kind in TEXTS.values():
        if is_taken(kind, value):
            text = TypeAdapter(kind).validate_python(value)
            assert text == text.strip()
            assert text.isprintable()
            assert text.encode()
            assert TypeAdapter(kind).validate_python(text) == text, "it is the same once more"


def test_names_that_look_alike_are_the_same() -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    assert TypeAdapter(Warehouse).validate_python(decomposed) == composed


@pytest.mark.parametrize("name", ["a/b", "/", "a\\b", "100%", "%2e", ".", ".."])
def test_a_warehouse_is_not_named_what_no_address_can_say(name: str) -> None:
    assert not is_taken(Warehouse, name)
    assert is_taken(Product, name)


@pytest.mark.parametrize("name", ["Nakuru North", "St. Mary's #2", "مخزن", "倉庫", "a?b&c", "..."])
def test_a_warehouse_is_named_as_people_name_theirs(name: str) -> None:
    assert is_taken(Warehouse, name)
