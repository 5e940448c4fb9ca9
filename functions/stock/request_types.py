"""What people write into requests about stock, and what is refused of it."""

import re
import unicodedata
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

DECIMALS = 3
# Eleven digits before the point and three behind it are what the database keeps.
QUANTITY_END = 10**11

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A warehouse's name stands in an address, where these would make another of it.
_NOT_IN_ADDRESSES = frozenset("/\\%")


def _line(text: str) -> str:
    """Return it in Unicode's composed form: what looks alike is to be the same."""
    text = unicodedata.normalize("NFC", text).strip()
    if not text:
        raise ValueError("is empty")
    # No control characters, no surrogates, nothing that turns the direction of what follows.
    if not text.isprintable():
        raise ValueError("has characters that can't be shown")
    return text


def _name(name: str) -> str:
    if _NOT_IN_ADDRESSES & set(name) or name in {".", ".."}:
        raise ValueError("must not have any of / \\ and %")
    if "\N{REPLACEMENT CHARACTER}" in name:
        raise ValueError("is no UTF-8")
    return name


def _quantity(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004 of which pydantic makes no refusal
    # By what was written: 0.1 is a tenth, not what a float makes of it.
    quantity = Decimal(str(value))
    if not quantity.is_finite() or not 0 < quantity < QUANTITY_END:
        raise ValueError(f"must be more than 0 and less than {QUANTITY_END}")
    if quantity != round(quantity, DECIMALS):
        raise ValueError(f"may have {DECIMALS} decimals at most")
    return round(quantity, DECIMALS)


def _day(value: object) -> date:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("must be a date as 2026-01-31")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is no day of the calendar") from None


Product = Annotated[str, Field(max_length=200), AfterValidator(_line)]
Unit = Annotated[str, Field(max_length=20), AfterValidator(_line)]
Warehouse = Annotated[str, Field(max_length=100), AfterValidator(_line), AfterValidator(_name)]
Reason = Annotated[str, Field(max_length=500), AfterValidator(_line)]
Quantity = Annotated[
    Decimal,
    PlainValidator(_quantity),
    WithJsonSchema(
        {
            "type": "number",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": QUANTITY_END,
            "description": f"With up to {DECIMALS} decimals",
        }
    ),
]
Day = Annotated[date, PlainValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
