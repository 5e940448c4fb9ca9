"""Phone numbers: many ways to write one, a single one to know it by (E.164).

A number is what budgets, accounts and challenges hang on, so every alias of it must come to the
same text. By Google's libphonenumber, in its lite Python variant.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from fieldgate.errors import BusinessRule
from fieldgate.settings import Settings, load

MAX_CHARS = 32
E164 = re.compile(r"\+[1-9][0-9]{7,14}")

# What people put between digits. Letters are refused, and so is every digit that is not ASCII:
# libphonenumber would read both.
_WRITTEN = re.compile(r" *\(?\+?[0-9 ()./-]+", re.ASCII)


class PhoneSettings(Settings):
    """Where a number without country code is from, and which countries get texts (ISO 3166-1)."""

    phone_region: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "KE"
    sms_countries: Annotated[str, Field(pattern="^[A-Z]{2}(,[A-Z]{2})*$")] = "KE,UG,TZ,RW,BI,CD"


def normalise(text: str) -> str:
    """Return a mobile number in E.164 ("+254711000001"), however it was written.

    Raises:
        ValueError: it is no number that can be texted.

    """
    from phonenumbers import (
        NumberParseException,
        PhoneNumberFormat,
        PhoneNumberType,
        format_number,
        is_valid_number,
        number_type,
        parse,
    )

    if len(text) > MAX_CHARS or not _WRITTEN.fullmatch(text):
        raise ValueError("is not a phone number")
    digits = re.sub("[^+0-9]", "", text)
    if digits.startswith("00"):
        # Dialled abroad all over Africa, yet not by everybody's rules: Kenya's prefix is 000.
        digits = f"+{digits[2:]}"
    try:
        number = parse(digits, load(PhoneSettings).phone_region)
    except NumberParseException:
        raise ValueError("is not a phone number") from None
    textable = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    e164 = str(format_number(number, PhoneNumberFormat.E164))
    if not is_valid_number(number) or not E164.fullmatch(e164):
        raise ValueError("is not a phone number")
    if number_type(number) not in textable:
        raise ValueError("is not a mobile phone number")
    return e164


def country_of(e164: str) -> str:
    """Return the country (ISO 3166-1, two letters) of a normalised number, "" if it has none."""
    from phonenumbers import parse, region_code_for_number

    return region_code_for_number(parse(e164)) or ""


def supported_country_of(e164: str) -> str:
    """Return the country of a normalised number when texts are sent there.

    Raises:
        BusinessRule: they are not.

    """
    country = country_of(e164)
    if country not in load(PhoneSettings).sms_countries.split(","):
        raise BusinessRule("No texts are sent to this country.", code="COUNTRY_NOT_SUPPORTED")
    return country


# A number in a request: any way of writing it comes in, E.164 comes out.
PhoneNumber = Annotated[
    str,
    Field(max_length=MAX_CHARS),
    AfterValidator(normalise),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_CHARS,
            "pattern": f"^{_WRITTEN.pattern}$",
            "description": "A mobile number as people write it; without a country code it is from"
            " the deployment's country",
        }
    ),
]
