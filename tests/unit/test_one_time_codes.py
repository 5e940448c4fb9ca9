"""Codes that follow from a challenge, and when they do not."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from fieldgate import settings
from fieldgate.errors import ConfigurationError
from fieldgate.one_time_codes import code_for, judge

pytestmark = pytest.mark.usefixtures("environment")

PHONE, OTHER = "+254711000009", "+254711000010"
CHALLENGE = UUID("5f0c6a52-6b1f-4c2e-9a55-0c9b1d1f7a01")
FIXED = json.dumps({PHONE: {"code": "000000", "until": "2026-03-31"}})
ON_THE_LAST_DAY = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
A_SECOND_LATER = datetime(2026, 4, 1, tzinfo=UTC)


def test_a_code_is_six_digits_and_always_the_same() -> None:
    codes = {code_for(uuid4(), PHONE) for _ in range(200)}
    assert all(len(code) == 6 and code.isascii() and code.isdecimal() for code in codes)
    assert len(codes) > 190
    assert code_for(CHALLENGE, PHONE) == code_for(CHALLENGE, OTHER) == code_for(CHALLENGE, PHONE)


def test_a_code_follows_from_the_secret(environment: pytest.MonkeyPatch) -> None:
    before = code_for(CHALLENGE, PHONE)
    environment.setenv("PEPPER", "another-pepper-for-tests-and-nothing-else")
    assert code_for(CHALLENGE, PHONE) != before


@pytest.mark.parametrize("pepper", ["", "too-short"])
def test_without_a_secret_there_are_no_codes(environment: pytest.MonkeyPatch, pepper: str) -> None:
    environment.setenv("PEPPER", pepper)
    with pytest.raises(ConfigurationError, match="PEPPER"):
        code_for(CHALLENGE, PHONE)


def test_a_typed_code_is_right_or_wrong() -> None:
    code = code_for(CHALLENGE, PHONE)
    assert judge(CHALLENGE, code).right
    assert not judge(CHALLENGE, code[::-1] + "0").right
    assert not judge(uuid4(), code).right
    assert not judge(CHALLENGE, "").right


def test_a_fixed_code_is_for_its_number_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTP_FIXED_CODES", FIXED)
    assert code_for(CHALLENGE, PHONE, now=ON_THE_LAST_DAY) == "000000"
    assert code_for(CHALLENGE, OTHER, now=ON_THE_LAST_DAY) != "000000"

    derived = code_for(CHALLENGE, OTHER)
    assert judge(CHALLENGE, "000000", now=ON_THE_LAST_DAY).by_phone == {PHONE: True}
    # The number with a fixed code has no other.
    assert judge(CHALLENGE, derived, now=ON_THE_LAST_DAY).by_phone == {PHONE: False}


def test_a_fixed_code_ends_with_its_day(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTP_FIXED_CODES", FIXED)
    assert code_for(CHALLENGE, PHONE, now=A_SECOND_LATER) != "000000"
    assert judge(CHALLENGE, "000000", now=A_SECOND_LATER).by_phone == {}


@pytest.mark.parametrize(("name", "value"), [("OTP_DEV_MODE", "true"), ("OTP_FIXED_CODES", FIXED)])
def test_production_refuses_what_is_for_development(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    code_for(CHALLENGE, PHONE)

    environment.setenv("ENVIRONMENT", "production")
    settings.forget()
    for use in (lambda: code_for(CHALLENGE, PHONE), lambda: judge(CHALLENGE, "000000")):
        with pytest.raises(ConfigurationError, match="not for production"):
            use()


@pytest.mark.parametrize(
    "codes",
    [
        "000000",
        '{"+254711000009": "000000"}',
        '{"+254711000009": {"code": "000000"}}',
        '{"+254711000009": {"code": "0000", "until": "2026-03-31"}}',
        '{"+254711000009": {"code": "00000\u0660", "until": "2026-03-31"}}',
        '{"+254711000009": {"code": "000000", "until": "soon"}}',
    ],
)
def test_a_list_of_fixed_codes_that_is_not_whole_is_an_error(
    environment: pytest.MonkeyPatch, codes: str
) -> None:
    environment.setenv("OTP_FIXED_CODES", codes)
    with pytest.raises(ConfigurationError, match="OTP_FIXED_CODES"):
        code_for(CHALLENGE, PHONE)
