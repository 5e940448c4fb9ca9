"""What the log may say, and what it must not."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.observability import MASK, count, gauge, logger, mask, percentage
from tests.support.log import Log

PHONE = "+254711000001"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl"
PRESIGNED = (
    "https://media.s3.eu-west-1.amazonaws.com/farmers/1.jpg?X-Amz-Expires=3600"
    "&X-Amz-Security-Token=FwoGZXIvYXdzEJr%2F&X-Amz-Signature=0123456789abcdef&x-id=PutObject"
)


@pytest.mark.parametrize(
    "key",
    [
        "phone",
        "Phone",
        "phone_number",
        "phoneNumber",
        "msisdn",
        "email",
        "password",
        "newPassword",
        "password_hash",
        "access_token",
        "refreshToken",
        "token",
        "device-token",
        "code",
        "otp_code",
        "OTP",
        "Authorization",
        "Set-Cookie",
        "x-amz-signature",
        "api_key",
        "apiKey",
        "X-API-Key",
        "client_secret",
        "privateKey",
        "signing_key",
        "credentials",
    ],
)
def test_the_value_of_a_secret_key_is_masked_whatever_it_is(key: str) -> None:
    for value in ("shown to nobody", 123456, ["a"], {"a": "b"}):
        assert mask({key: value}) == {key: MASK}


@pytest.mark.parametrize(
    "key",
    [
        "status_code",
        "statusCode",
        "error_code",
        "errorCode",
        "exit-code",
        "country_code",
        "token_type",
        "tokenType",
        "route",
        "request_id",
        "keys",
        "duration",
    ],
)
def test_a_harmless_key_stays_readable(key: str) -> None:
    assert mask({key: 404}) == {key: 404}
    assert mask({key: "NOT_FOUND"}) == {key: "NOT_FOUND"}


def test_that_a_secret_is_absent_is_no_secret() -> None:
    assert mask({"phone": None}) == {"phone": None}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"sent to {PHONE}.", "sent to ***."),
        (f"Key (phone)=({PHONE}) already exists", "Key (phone)=(***) already exists"),
        ("GET /_local/sms?phone=%2B254711000001", "GET /_local/sms?phone=***"),
        (f"Bearer {JWT}", "Bearer ***"),
        (f"wss://host/hubs?access_token={JWT}&v=1", "wss://host/hubs?access_token=***&v=1"),
        ("grower@farm.example.org wrote", "*** wrote"),
        ("postgresql://app:hunter2@db:5432/x", "postgresql://***@db:5432/x"),
        ("postgresql://app:p@ss@db:5432/x", "postgresql://***@db:5432/x"),
        ("redis://:hunter2@cache:6379", "redis://***@cache:6379"),
        (
            "Host=db;Username=app;Password=hunter2;Port=1",
            "Host=db;Username=app;Password=***;Port=1",
        ),
        ("your code=123456 is good", "your code=*** is good"),
    ],
)
def test_secrets_inside_a_text_are_masked(text: str, shown: str) -> None:
    assert mask(text) == shown


def test_a_presigned_url_loses_what_signs_it_and_nothing_else() -> None:
    assert mask(PRESIGNED) == (
        "https://media.s3.eu-west-1.amazonaws.com/farmers/1.jpg?X-Amz-Expires=3600"
        "&X-Amz-Security-Token=***&X-Amz-Signature=***&x-id=PutObject"
    )


@pytest.mark.parametrize(
    "text",
    [
        "exit code=1",
        "1+12345678 is no phone",
        "took 12345678901 ns",
        "http://127.0.0.1:8080/health",
        "2026-01-10T10:00:00+03:00",
        "018f6f1e-7d3a-7c55-9f3a-0123456789ab",
        "farmers/018f6f1e.jpg",
    ],
)
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("piece", ["a", "a-", "eyJaaaaa-", "a.b+", "://a:", "token", "+1", "%2B1"])
def test_a_long_text_is_masked_in_one_go(piece: str) -> None:
    # Read again at each character, this would take hours.
    assert mask(piece * 300_000) == piece * 300_000


def test_masking_goes_into_every_depth_and_into_keys() -> None:
    value = {"a": [{"b": ({"code": "123456"}, PHONE)}], PHONE: {1}, "n": 1, "t": True}

    assert mask(value) == {"a": [{"b": [{"code": MASK}, MASK]}], MASK: [1], "n": 1, "t": True}


def test_what_is_no_json_is_masked_as_its_text() -> None:
    @dataclass
    class Sms:
        to: str

    assert PHONE not in str(
        mask({"sms": Sms(PHONE), "raw": PHONE.encode(), "e": ValueError(PHONE)})
    )
    assert mask(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_masking_twice_changes_nothing_more(value: Any) -> None:
    once = mask(value)
    assert mask(once) == once


@given(st.text(alphabet=" \n\"'(),;{}=/"), st.text(alphabet=" \n\"'(),;{}/"))
def test_a_phone_is_found_between_any_punctuation(before: str, after: str) -> None:
    assert PHONE not in mask(before + PHONE + after)


def test_a_log_line_is_one_json_object_without_secrets(log: Log) -> None:
    logger().info(
        f"to {PHONE}", extra={"phone": PHONE, "nested": {"token": "x"}, "status_code": 202}
    )

    (line,) = log.lines
    assert line["message"] == "to ***"
    assert line["phone"] == MASK
    assert line["nested"] == {"token": MASK}
    assert line["status_code"] == 202
    assert line["timestamp"].endswith("+0000")


def test_a_logged_exception_keeps_its_trace_and_loses_its_secrets(log: Log) -> None:
    def send(address: str) -> None:
        raise ConnectionError(f"no answer from {address} for {JWT}")

    try:
        try:
            send("redis://:hunter2@cache:6379")
        except ConnectionError as error:
            raise RuntimeError(f"could not tell {PHONE}") from error
    except RuntimeError:
        logger().exception("failed")

    (line,) = log.lines
    assert line["exception_name"] == "RuntimeError"
    assert "in send" in log.text
    for secret in (PHONE, JWT, "hunter2"):
        assert secret not in log.text


def test_lines_of_log_arguments_are_masked_too(log: Log) -> None:
    logger().warning("sent to %s", PHONE)

    assert log.lines[0]["message"] == "sent to ***"


@pytest.mark.parametrize(
    ("write", "unit", "value", "dimensions"),
    [
        (lambda: count("Noticed"), "Count", 1, {}),
        (lambda: count("Noticed", reason="CORRUPT"), "Count", 1, {"reason": "CORRUPT"}),
        (lambda: gauge("Noticed", 7), "Count", 7, {}),
        (lambda: gauge("Noticed", 7, country="KE"), "Count", 7, {"country": "KE"}),
        (lambda: percentage("Noticed", 12.5), "Percent", 12.5, {}),
        (lambda: percentage("Noticed", 0, country="KE"), "Percent", 0, {"country": "KE"}),
    ],
)
def test_a_metric_is_written_in_the_embedded_format_by_its_dimensions_and_the_service(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[], None],
    unit: str,
    value: float,
    dimensions: dict[str, str],
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "of-a-test")
    write()

    line = json.loads(capsys.readouterr().out)
    (directive,) = line.pop("_aws")["CloudWatchMetrics"]
    (written,) = directive.pop("Dimensions")
    assert sorted(written) == sorted([*dimensions, "service"])
    assert directive == {"Namespace": "Fieldgate", "Metrics": [{"Name": "Noticed", "Unit": unit}]}
    assert line == {"Noticed": [value], "service": "of-a-test"} | dimensions


@pytest.mark.parametrize("mode", ["", "PassThrough", "Active"])
def test_the_x_ray_sdk_is_imported_only_where_tracing_is_active(mode: str) -> None:
    program = (
        "import sys\n"
        "from fieldgate.observability import observed\n"
        "assert observed(lambda event, context: event * 2)(21, None) == 42\n"
        "print('aws_xray_sdk' in sys.modules)"
    )
    environment = {"PYTHONPATH": "layers/common", "TRACING_MODE": mode}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == str(mode == "Active")
