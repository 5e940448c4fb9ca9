"""Many ways to write a number, one way to know it by."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate.errors import BusinessRule, ConfigurationError
from identity.phone_numbers import country_of, normalise, supported_country_of

pytestmark = pytest.mark.usefixtures("environment")

# The settings don't change between the examples of a property.
PROPERTY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

SEPARATORS = st.sampled_from(["", "", "", " ", "-", ".", "  ", "/"])
KENYAN = st.from_regex(r"7[0129][0-9]{7}", fullmatch=True)


@st.composite
def aliases(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a Kenyan mobile number in E.164 and somebody's way to write it."""
    subscriber = draw(KENYAN)
    prefix = draw(st.sampled_from(["+254", "00254", "254", "0", "", "+254(0)", "(0)", "(+254)"]))
    written = prefix + draw(SEPARATORS)
    for digit in subscriber:
        written += digit + draw(SEPARATORS)
    return f"+254{subscriber}", written


@PROPERTY
@given(aliases())
def test_every_way_to_write_a_number_comes_to_the_same(alias: tuple[str, str]) -> None:
    e164, written = alias
    if len(written) <= 32:
        assert normalise(written) == e164


@PROPERTY
@given(st.text(alphabet="0123456789+() -.", max_size=32))
def test_what_comes_out_is_e164_and_comes_to_itself(written: str) -> None:
    try:
        e164 = normalise(written)
    except ValueError:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{7,14}", e164)
    assert normalise(e164) == e164


@PROPERTY
@given(st.text(max_size=40))
def test_any_text_is_a_number_or_refused(written: str) -> None:
    try:
        normalise(written)
    except ValueError:
        return
    assert written.isascii()


@pytest.mark.parametrize(
    ("written", "e164"),
    [
        ("+254 711 000 001", "+254711000001"),
        ("00254711000001", "+254711000001"),
        ("0711000001", "+254711000001"),
        ("254711000001", "+254711000001"),
        ("711000001", "+254711000001"),
        ("0110 000 001", "+254110000001"),
        ("+256 701 234567", "+256701234567"),
        ("00256701234567", "+256701234567"),
        ("+255 712 345 678", "+255712345678"),
        ("+243 812 345 678", "+243812345678"),
    ],
)
def test_numbers_as_people_write_them(written: str, e164: str) -> None:
    assert normalise(written) == e164


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "+",
        "0",
        "000000",
        "+254 20 2345678",  # a land line
        "+254 711 000 00",
        "+254 711 000 0011",
        "+254711000001 ext. 5",
        "+254711000001x5",
        "+254711000001;ext=5",
        "tel:+254711000001",
        "tel:0711000001;phone-context=+254",
        "0711 MAIZE1",
        "0711#000001",
        "*144#",
        "++254711000001",
        "+254+711000001",
        "+00254711000001",
        "000711000001",
        "0256701234567",
        "+254711000001\n",
        "+254711000001\0",
        "+2547110\u0660\u0660\u0660\u0660\u0661",
        "\uff0b254711000001",
        "+254\u00a0711000001",
        "\u202a+254711000001",
        "+254711000001" + " " * 20,
        "112",
        "+800 1234 5678",
        "+888 123 456 789",
    ],
)
def test_what_is_no_mobile_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="phone number"):
        normalise(written)


def test_a_number_without_country_code_is_from_the_region_of_the_settings(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("PHONE_REGION", "UG")
    assert normalise("0701 234567") == "+256701234567"


@pytest.mark.parametrize(
    ("e164", "country"),
    [("+254711000001", "KE"), ("+256701234567", "UG"), ("+12125550123", "US")],
)
def test_a_number_has_a_country(e164: str, country: str) -> None:
    assert country_of(e164) == country


def test_countries_without_texts_are_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMS_COUNTRIES", "UG,TZ")
    assert supported_country_of("+256701234567") == "UG"
    with pytest.raises(BusinessRule) as refused:
        supported_country_of("+254711000001")
    assert refused.value.code == "COUNTRY_NOT_SUPPORTED"


@pytest.mark.parametrize("countries", ["Kenya", "KE, UG", "ke", "KE,"])
def test_a_list_of_countries_that_cannot_be_read_is_an_error(
    environment: pytest.MonkeyPatch, countries: str
) -> None:
    environment.setenv("SMS_COUNTRIES", countries)
    with pytest.raises(ConfigurationError, match="SMS_COUNTRIES"):
        supported_country_of("+254711000001")
