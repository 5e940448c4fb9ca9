"""Texts by Africa's Talking: the real SDK against its wire format, the odd answers included."""

import json

import pytest

from fieldgate.sms import (
    SmsError,
    SmsMisconfigured,
    SmsNotConfigured,
    SmsNotReached,
    SmsRefused,
    SmsUnavailable,
    africas_talking,
)
from fieldgate.sms.africas_talking import FAILURES, AfricasTalkingSender
from tests.support.log import Log
from tests.support.texts import API_KEY, PHONE, Vendor, Wire, recipient

TEXT = "012345 is your code"


def send() -> str:
    return AfricasTalkingSender().send(PHONE, TEXT)


def refusal() -> SmsError:
    with pytest.raises(SmsError) as raised:
        send()
    error = raised.value
    # Neither what the vendor said nor what was to be sent is carried on.
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


def test_a_text_arrives_and_its_id_comes_back(vendor: Vendor) -> None:
    message_id = send()
    assert message_id.startswith("ATXid_")
    (text,) = vendor.standin.inbox()
    assert (text["to"], text["text"]) == (PHONE, TEXT)


def test_the_request_is_the_one_that_the_vendor_documents(
    wire: Wire, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AFRICAS_TALKING_SENDER_ID", "FIELDGATE")
    wire.say([recipient(101)])
    send()
    ((path, headers, form),) = wire.posted
    assert path == "/version1/messaging"
    assert headers["apiKey"] == API_KEY
    assert headers["Accept"] == "application/json"
    assert form == {
        "username": "fieldgate",
        "to": PHONE,
        "message": TEXT,
        "bulkSMSMode": "1",
        "from": "FIELDGATE",
    }


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_the_answer_is_understood_as_text_and_as_json(wire: Wire, content_type: str) -> None:
    wire.content_type = content_type
    wire.say([recipient(101, "ATXid_7")])
    assert send() == "ATXid_7"


@pytest.mark.parametrize("code", [100, 101, 102, "101"])
def test_what_the_vendor_took_is_sent(wire: Wire, code: int | str) -> None:
    wire.say([recipient(code)])
    assert send() == "ATXid_1"


@pytest.mark.parametrize("message_id", ["None", "", None])
def test_what_the_vendor_took_without_an_id_is_sent(wire: Wire, message_id: str | None) -> None:
    wire.say([recipient(101) | {"messageId": message_id}])
    assert send() == ""


@pytest.mark.parametrize("code", FAILURES)
def test_every_status_code_means_what_the_table_says(wire: Wire, code: int) -> None:
    wire.say([recipient(code)])
    error = refusal()
    assert (type(error), error.reason) == FAILURES[code]


def test_the_table_tells_the_numbers_fault_from_ours_and_the_vendors() -> None:
    codes: dict[type[SmsError], set[int]] = {}
    for code, (kind, _) in FAILURES.items():
        codes.setdefault(kind, set()).add(code)
    assert codes == {
        SmsMisconfigured: {401, 402, 405},
        SmsRefused: {403, 404, 406, 407, 409},
        SmsUnavailable: {500, 501, 502},
    }


def test_an_unknown_status_code_is_worth_another_try(wire: Wire) -> None:
    wire.say([recipient(599)])
    assert type(refusal()) is SmsUnavailable


def test_a_bad_sender_id_is_not_left_out_and_sent_again(wire: Wire) -> None:
    wire.say([recipient(402)])
    refusal()
    assert len(wire.posted) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("InvalidSenderId", "InvalidSenderId"),
        ("Sent to 0/1 Total Cost: 0", "Nobody"),
        (7, "Nobody"),
    ],
)
def test_an_answer_that_names_nobody_is_a_failure(wire: Wire, message: str, reason: str) -> None:
    wire.say([], message)
    error = refusal()
    assert (type(error), error.reason) == (SmsMisconfigured, reason)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        "[]",
        "null",
        "{}",
        json.dumps({"SMSMessageData": None}),
        json.dumps({"SMSMessageData": {"Recipients": [{}]}}),
        json.dumps({"SMSMessageData": {"Recipients": [recipient(101), recipient(101)]}}),
        json.dumps({"SMSMessageData": {"Recipients": [recipient("soon")]}}),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
def test_an_answer_that_makes_no_sense_may_have_been_a_text(
    wire: Wire, body: str, content_type: str
) -> None:
    wire.content_type, wire.body = content_type, body
    assert type(refusal()) is SmsUnavailable


def test_wrong_credentials_are_for_somebody_to_mend(
    vendor: Vendor, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AFRICAS_TALKING_API_KEY", "another")
    error = refusal()
    assert (type(error), error.reason) == (SmsMisconfigured, "authentication")
    assert vendor.texts() == []


@pytest.mark.parametrize("name", ["AFRICAS_TALKING_USERNAME", "AFRICAS_TALKING_API_KEY"])
def test_without_credentials_nothing_is_sent_and_it_is_said_once(
    wire: Wire, environment: pytest.MonkeyPatch, log: Log, name: str
) -> None:
    environment.delenv(name)
    assert type(refusal()) is SmsNotConfigured
    assert type(refusal()) is SmsNotConfigured
    assert wire.posted == []
    assert len(log.said("feature off")) == 1


@pytest.mark.parametrize("mode", ["down", "error"])
def test_a_vendor_that_fails_is_worth_another_try(vendor: Vendor, mode: str) -> None:
    vendor.faults.set("sms", mode, 60)  # type: ignore[arg-type]
    assert type(refusal()) is SmsUnavailable
    vendor.faults.set("sms", "down", 0)
    assert send()


def test_a_vendor_that_is_not_there_is_worth_another_try(
    vendor: Vendor, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AFRICAS_TALKING_URL", "http://127.0.0.1:1")
    error = refusal()
    assert (type(error), error.reason) == (SmsNotReached, "ConnectionError")


def test_a_vendor_that_does_not_answer_is_not_waited_for(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(africas_talking, "TIMEOUT_SECONDS", (2, 0.1))
    vendor.faults.set("sms", "hang", 60)
    error = refusal()
    assert (type(error), error.reason) == (SmsUnavailable, "ReadTimeout")


def test_a_number_that_the_sdk_refuses_is_refused(vendor: Vendor) -> None:
    with pytest.raises(SmsRefused):
        AfricasTalkingSender().send("0711", TEXT)
