"""What goes wrong is copied to logs that are kept for longer, once, masked, and within bounds."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from fieldgate.observability import logger
from operations import kept_logs, log_lines
from operations.keep_errors import handler
from operations.log_lines import Delivery, Line
from tests.support.delivered_logs import GROUP, STREAM, delivered, unpacked
from tests.support.log import Log

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

SAMPLE = Path(__file__).parents[3] / "events/keep_errors.json"
ERRORS, EXCEPTIONS = "/fieldgate/staging/errors", "/fieldgate/staging/exceptions"
ERROR = json.dumps({"level": "ERROR", "message": "request failed", "function_name": "GetMedia"})
TIMED_OUT = "2026-11-28T12:00:01.789Z 9c2b1e0f Task timed out after 28.00 seconds\n\n"


@dataclass
class KeptLogs:
    client: "CloudWatchLogsClient"

    def lines(self, group: str) -> list[dict[str, Any]]:
        """Return what a group holds, the oldest first."""
        found = self.client.filter_log_events(logGroupName=group)["events"]
        return [json.loads(event["message"]) for event in found]

    def messages(self, group: str) -> list[str]:
        return [line["message"] for line in self.lines(group)]


@pytest.fixture
def kept(environment: pytest.MonkeyPatch) -> Iterator[KeptLogs]:
    environment.setenv("ERRORS_LOG_GROUP", ERRORS)
    environment.setenv("EXCEPTIONS_LOG_GROUP", EXCEPTIONS)
    with mock_aws():
        client = boto3.client("logs")
        for group in (ERRORS, EXCEPTIONS):
            client.create_log_group(logGroupName=group)
        yield KeptLogs(client)


def now() -> int:
    return int(time.time() * 1000)


def a_minute_ago() -> int:
    return now() - 70_000


def test_the_sample_is_sorted_by_what_it_holds(kept: KeptLogs) -> None:
    said = unpacked(json.loads(SAMPLE.read_text()))
    moved = now() - said["logEvents"][0]["timestamp"]
    lines = [(it["id"], it["timestamp"] + moved, it["message"]) for it in said["logEvents"]]

    assert handler(delivered(*lines), None) == {"errors": 3, "exceptions": 2}

    failed, plain, timed_out = kept.lines(ERRORS)
    assert failed["request_id"] == "01989f3c-7a5e-7b7e-8a34-52b1c0a9d0f1"
    assert failed["copied_from"] == {"id": lines[0][0], "log_group": GROUP, "log_stream": STREAM}
    assert plain["message"] == "message failed"
    assert "timed out" in timed_out["message"]
    assert kept.lines(EXCEPTIONS) == [failed, timed_out]


def test_what_our_logger_writes_is_recognised(kept: KeptLogs, log: Log) -> None:
    logger().info("all is well")
    logger().error("bad")
    logger().warning("seen", exc_info=ValueError("worse"))
    logger().exception("unexpected error", exc_info=ValueError("worse"))
    lines = [(str(n), now() + n, text) for n, text in enumerate(log.text.splitlines())]

    handler(delivered(*lines), None)

    assert kept.messages(ERRORS) == ["bad", "unexpected error"]
    assert kept.messages(EXCEPTIONS) == ["seen", "unexpected error"]


@pytest.mark.parametrize(
    "line",
    [
        TIMED_OUT,
        "[ERROR] KeyError: 'x'\rTraceback (most recent call last):\r  File ...",
        "[ERROR] Runtime.ImportModuleError: Unable to import module 'x': No module named 'y'",
        "RequestId: 9c2b Error: Runtime exited with error: signal: killed\nRuntime.ExitError",
        "REPORT RequestId: 9c2b\tDuration: 28000 ms\tMemory Size: 512 MB\tStatus: timeout",
        "REPORT RequestId: 9c2b\tStatus: error\tError Type: Runtime.OutOfMemory",
        "INIT_REPORT Init Duration: 9999 ms\tPhase: init\tStatus: timeout",
    ],
)
def test_a_crash_is_an_error_and_an_exception(line: str) -> None:
    assert log_lines.kinds(line) == {"errors", "exceptions"}


@pytest.mark.parametrize(
    "line",
    [
        "START RequestId: 9c2b Version: $LATEST",
        "REPORT RequestId: 9c2b\tDuration: 12.3 ms\tMemory Size: 512 MB\tMax Memory Used: 80 MB",
        "INIT_START Runtime Version: python:3.13.v10\tRuntime Version ARN: arn:aws:lambda",
        '{"level":"INFO","message":"Task timed out after lunch: ERROR, CRITICAL"}',
        '["ERROR"]',
        "",
    ],
)
def test_what_only_sounds_like_it_is_neither(line: str) -> None:
    assert log_lines.kinds(line) == set()


def test_a_question_whether_we_are_here_is_no_line(kept: KeptLogs) -> None:
    event = delivered(("1", now(), TIMED_OUT), message_type="CONTROL_MESSAGE")
    assert handler(event, None) == {}
    assert kept.lines(ERRORS) == []


def test_what_the_runtime_says_of_people_is_masked(kept: KeptLogs) -> None:
    handler(delivered(("1", now(), "[ERROR] KeyError: '+254711000009'\rTraceback")), None)
    assert kept.messages(EXCEPTIONS) == ["[ERROR] KeyError: '***'\rTraceback"]


def test_what_others_write_as_json_is_masked_and_stops_no_other_line(kept: KeptLogs) -> None:
    lines = [
        '{"level": ["ERROR"]}',
        '{"level": {"of": "water"}}',
        json.dumps({"level": "ERROR", "message": "not sent to +254711000009", "otp": 123456}),
        json.dumps({"level": "ERROR", "message": "last", "copied_from": {"id": []}}),
    ]
    handler(delivered(*((str(n), now(), line) for n, line in enumerate(lines))), None)

    masked, last = kept.lines(ERRORS)
    assert (masked["message"], masked["otp"]) == ("not sent to ***", "***")
    assert (last["message"], last["copied_from"]["id"]) == ("last", "3")
    assert log_lines.copied_id(lines[-1]) is None


def test_a_second_try_copies_what_the_first_did_not(kept: KeptLogs) -> None:
    """The first wrote the errors, and failed with the exceptions."""
    event = delivered(("1", a_minute_ago(), TIMED_OUT), ("2", a_minute_ago() + 5, TIMED_OUT))
    kept.client.delete_log_group(logGroupName=EXCEPTIONS)
    with pytest.raises(ClientError):
        handler(event, None)
    kept.client.create_log_group(logGroupName=EXCEPTIONS)

    assert handler(event, None) == {"errors": 0, "exceptions": 2}
    assert handler(event, None) == {"errors": 0, "exceptions": 0}

    for group in (ERRORS, EXCEPTIONS):
        assert [line["copied_from"]["id"] for line in kept.lines(group)] == ["1", "2"]


def test_a_second_try_finds_only_its_own(kept: KeptLogs) -> None:
    began = a_minute_ago()
    handler(delivered(("1", began, ERROR)), None)
    # Of the same moment, by another function.
    assert handler(delivered(("2", began, ERROR)), None) == {"errors": 1, "exceptions": 0}


def test_lines_are_written_in_the_order_they_were_logged(kept: KeptLogs) -> None:
    began = now()
    lines = [
        (str(n), began - n, json.dumps({"level": "ERROR", "message": f"{n}"})) for n in range(5)
    ]
    assert handler(delivered(*lines), None)["errors"] == 5
    assert kept.messages(ERRORS) == ["4", "3", "2", "1", "0"]


def test_a_line_that_is_too_old_stops_no_other(kept: KeptLogs, log: Log) -> None:
    old = now() - 15 * 24 * 3_600_000
    assert handler(delivered(("1", old, ERROR), ("2", now(), ERROR)), None)["errors"] == 2
    assert len(kept.lines(ERRORS)) == 1
    assert log.said("lines too old or too new to be kept")


def test_calls_stay_within_what_cloudwatch_takes() -> None:
    day = 24 * 3_600_000
    large = [{"timestamp": n, "message": "x" * 250_000} for n in range(9)]
    many = [{"timestamp": 100, "message": "x"} for _ in range(10_001)]
    late = [{"timestamp": 100 + day, "message": "x"}]

    made = list(kept_logs.batches([*large, *many, *late]))  # type: ignore[list-item]

    assert [event for batch in made for event in batch] == [*large, *many, *late]
    for batch in made:
        assert len(batch) <= 10_000
        assert sum(len(event["message"]) + 26 for event in batch) <= 1_048_576
        assert batch[-1]["timestamp"] - batch[0]["timestamp"] < day
    assert len(made) == 5, "not more calls than needed"


@settings(max_examples=20, deadline=None)
@given(st.text(), st.sampled_from([1, 300_000]))
def test_any_line_can_be_sent(text: str, times: int) -> None:
    origin = Delivery(GROUP, STREAM, ())
    for message in (text[:1] * times, json.dumps({"level": "ERROR", "message": text * times})):
        line = Line("1", 0, message)
        copy = log_lines.copied(line, origin)
        assert len(copy.encode()) <= 262_144 - 26
        assert log_lines.copied_id(copy) == "1"
