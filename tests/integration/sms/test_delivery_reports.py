"""POST /api/v1/otp/delivery-reports/{secret}: who may say what of which text."""

import uuid
from typing import Any
from urllib.parse import urlencode

import pytest

from fieldgate.db.engine import Database
from sms import on_delivery_report
from tests.support.gateway import Answer, call
from tests.support.log import Log
from tests.support.texts import PHONE, add_text, run_africas_talking, run_wire, text_row

SECRET = "a-secret-path-for-tests"
ID = "ATXid_7"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def text(live_database: Database, environment: pytest.MonkeyPatch) -> uuid.UUID:
    """A text that was handed over."""
    environment.setenv("DELIVERY_REPORT_SECRET", SECRET)
    return add_text(live_database, state="sent", provider="africas_talking", provider_message_id=ID)


def post(body: bytes | str, *, secret: str = SECRET, content_type: str = FORM) -> Answer:
    return call(
        on_delivery_report.handler,
        "POST",
        f"/api/v1/otp/delivery-reports/{secret}",
        route="POST /api/v1/otp/delivery-reports/{secret}",
        body=body.encode() if isinstance(body, str) else body,
        headers={"content-type": content_type},
    )


def report(status: str = "Success", *, secret: str = SECRET, **fields: str) -> Answer:
    form = {"id": ID, "status": status, "phoneNumber": PHONE, "networkCode": "63902"}
    return post(urlencode(form | {"retryCount": "0"} | fields), secret=secret)


def state(database: Database, text: uuid.UUID) -> tuple[str, str | None]:
    row = text_row(database, text)
    return row["state"], row["failure"]


def test_a_delivered_text_is_marked(live_database: Database, text: uuid.UUID) -> None:
    answer = report()
    assert (answer.status, answer.body) == (204, b"")
    assert state(live_database, text) == ("delivered", None)
    assert text_row(live_database, text)["finished_at"] is not None


@pytest.mark.parametrize("status", ["Failed", "Rejected", "AbsentSubscriber", "Expired"])
def test_a_text_that_did_not_arrive_is_marked_with_the_reason(
    live_database: Database, text: uuid.UUID, status: str
) -> None:
    assert report(status, failureReason="UserInBlackList").status == 204
    assert state(live_database, text) == ("failed", "UserInBlackList")


def test_a_reason_that_is_none_is_replaced_by_the_status(
    live_database: Database, text: uuid.UUID
) -> None:
    report("Failed", failureReason="\0" + "x" * 2000)
    assert state(live_database, text) == ("failed", "Failed")


@pytest.mark.parametrize("status", ["Sent", "Submitted", "Buffered", "SomethingNew"])
def test_a_report_on_the_way_changes_nothing(
    live_database: Database, text: uuid.UUID, status: str
) -> None:
    assert report(status).status == 204
    assert state(live_database, text) == ("sent", None)


def test_a_final_state_is_never_left(live_database: Database, text: uuid.UUID) -> None:
    report("Success")
    before = text_row(live_database, text)
    for status in ("Success", "Failed", "Sent", "Rejected", "Buffered"):
        assert report(status, failureReason="UserIsInactive").status == 204
    assert text_row(live_database, text) == before


@pytest.mark.parametrize(
    "fields",
    [{"id": "ATXid_8"}, {"id": "None"}, {"phoneNumber": "+254711000022"}],
    ids=["unknown id", "no id", "another number"],
)
def test_a_forged_report_is_answered_alike_and_changes_nothing(
    live_database: Database, text: uuid.UUID, fields: dict[str, str]
) -> None:
    assert report(**fields).status == 204
    assert state(live_database, text) == ("sent", None)


@pytest.mark.parametrize("before", ["queued", "sending", "expired", "failed"])
def test_a_report_of_what_was_not_handed_over_changes_nothing(
    live_database: Database, environment: pytest.MonkeyPatch, before: str
) -> None:
    environment.setenv("DELIVERY_REPORT_SECRET", SECRET)
    message_id = add_text(
        live_database, state=before, provider="africas_talking", provider_message_id=ID
    )
    assert report().status == 204
    assert state(live_database, message_id)[0] == before


def test_a_text_of_another_provider_is_not_theirs_to_report(
    live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("DELIVERY_REPORT_SECRET", SECRET)
    message_id = add_text(live_database, state="sent", provider="sns", provider_message_id=ID)
    assert report().status == 204
    assert state(live_database, message_id)[0] == "sent"


@pytest.mark.parametrize("sent", ["%2B254711000021", "+254711000021", "254711000021"])
def test_a_number_is_known_however_its_plus_is_written(
    live_database: Database, text: uuid.UUID, sent: str
) -> None:
    assert post(f"id={ID}&status=Success&phoneNumber={sent}").status == 204
    assert state(live_database, text)[0] == "delivered"


@pytest.mark.parametrize(
    "secret", ["another-secret-path", SECRET[:-1], f"{SECRET}x", SECRET.upper(), "%00", "%FF"]
)
def test_whoever_does_not_know_the_secret_finds_nothing(
    live_database: Database, text: uuid.UUID, secret: str, log: Log
) -> None:
    answer = report(secret=secret)
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
    assert state(live_database, text) == ("sent", None)


@pytest.mark.parametrize("secret", ["", "too-short", "not/fit/for/a/path/at/all"])
def test_without_a_proper_secret_there_are_no_reports(
    live_database: Database, text: uuid.UUID, environment: pytest.MonkeyPatch, secret: str
) -> None:
    environment.setenv("DELIVERY_REPORT_SECRET", secret)
    assert report(secret=secret or "x").status == 404
    assert state(live_database, text) == ("sent", None)


def test_neither_secret_nor_number_reaches_the_log(
    live_database: Database, text: uuid.UUID, log: Log
) -> None:
    report()
    report("Failed")
    report(secret=f"{SECRET}x")
    post("id=", secret=SECRET)
    assert log.said("text reported")
    for secret in (SECRET, PHONE, PHONE[1:]):
        assert secret not in log.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"id=ATXid_7",
        b"\xff\xfe",
        b"%FF=%FF",
        b"id=%00&status=Success&phoneNumber=254711000021",
        b"id=ATXid_7&status=%00&phoneNumber=254711000021",
        b"id=ATXid_7&status=Success&phoneNumber=%D9%A1%D9%A2%D9%A3%D9%A4%D9%A5",
        b"id=ATXid_7&status=Success&phoneNumber=" + b"2" * 40,
        b"id=" + b"x" * 500 + b"&status=Success&phoneNumber=254711000021",
        b"&".join(b"a=b" for _ in range(100)),
        b'{"id": "ATXid_7", "status": "Success", "phoneNumber": "+254711000021"}',
    ],
)
def test_what_is_no_report_is_refused(
    live_database: Database, text: uuid.UUID, body: bytes
) -> None:
    answer = post(body)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert state(live_database, text) == ("sent", None)


def test_a_huge_body_is_refused(live_database: Database, text: uuid.UUID) -> None:
    answer = post(b"a=" + b"b" * 9000)
    assert (answer.status, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_with_the_database_down_the_vendor_hears_that_it_should_come_again(
    live_database: Database, text: uuid.UUID, environment: pytest.MonkeyPatch
) -> None:
    live_database.close()
    environment.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/nothing")
    assert report().status == 503


def test_a_report_of_the_stand_in_is_one(
    live_database: Database, text: uuid.UUID, environment: pytest.MonkeyPatch
) -> None:
    """What the local stack's vendor posts is what this route takes."""
    from fieldgate.sms.africas_talking import AfricasTalkingSender
    from tests.support.texts import settings_for

    with run_wire() as callback, run_africas_talking(f"{callback.url}/reports") as vendor:
        for name, value in settings_for(vendor.url).items():
            environment.setenv(name, value)
        message_id = AfricasTalkingSender().send(PHONE, "a text")
        assert callback.heard.wait(10)
    ((path, headers, form),) = callback.posted
    assert (path, form["id"]) == ("/reports", message_id)
    assert headers["Content-Type"] == FORM
    fields: dict[str, Any] = form | {"id": ID}
    assert post(urlencode(fields)).status == 204
    assert state(live_database, text) == ("delivered", None)
