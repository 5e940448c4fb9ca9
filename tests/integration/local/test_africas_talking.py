"""The stand-in for Africa's Talking refuses what the real one refuses, and keeps what it sent."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.texts import API_KEY, Vendor, run_africas_talking, run_wire

FORM = {"username": "fieldgate", "to": "+254711000021", "message": "one"}
HEADERS = {"apiKey": API_KEY, "Accept": "application/json"}


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with run_africas_talking() as running:
        yield running


def send(
    vendor: Vendor, headers: dict[str, str] | None = None, sender: str = "", **form: str
) -> httpx.Response:
    fields = {name: value for name, value in (FORM | form | {"from": sender}).items() if value}
    url = f"{vendor.url}/version1/messaging"
    return httpx.post(url, data=fields, headers=HEADERS | (headers or {}), trust_env=False)


def test_its_answer_has_the_real_ones_form(vendor: Vendor) -> None:
    answer = send(vendor, to="+254711000021,+254711000022")
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    data = answer.json()["SMSMessageData"]
    assert data["Message"] == "Sent to 2/2 Total Cost: KES 1.6000"
    assert [one["number"] for one in data["Recipients"]] == ["+254711000021", "+254711000022"]
    assert data["Recipients"][0] | {"messageId": ""} == {
        "statusCode": 101,
        "number": "+254711000021",
        "status": "Success",
        "cost": "KES 0.8000",
        "messageId": "",
    }
    assert len({one["messageId"] for one in data["Recipients"]}) == 2


def test_its_inbox_has_the_newest_first_and_each_number_its_own(vendor: Vendor) -> None:
    for text in ("one", "two"):
        send(vendor, message=text)
    send(vendor, to="+254711000022", message="three", sender="FIELDGATE")
    assert vendor.texts() == ["three", "two", "one"]
    assert vendor.texts("+254711000021") == ["two", "one"]
    assert [text["from"] for text in vendor.standin.inbox()][:2] == ["FIELDGATE", "AFRICASTKNG"]
    assert vendor.standin.inbox()[0]["at"].endswith("Z")


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({"apiKey": "another"}, {}, 401),
        ({"apiKey": ""}, {}, 401),
        ({"Accept": "application/xml"}, {}, 406),
        ({}, {"to": ""}, 400),
        ({}, {"message": ""}, 400),
        ({}, {"username": ""}, 400),
    ],
)
def test_what_the_real_one_refuses_is_refused(
    vendor: Vendor, headers: dict[str, str], form: dict[str, str], status: int
) -> None:
    assert send(vendor, headers, **form).status_code == status
    assert vendor.texts() == []


def test_it_can_be_broken_on_purpose(vendor: Vendor) -> None:
    vendor.faults.set("sms", "error", 60)
    assert send(vendor).status_code == 500
    vendor.faults.set("sms", "down", 60)
    # A cut connection is one or the other, as the reset is noticed before the reading or in it.
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        send(vendor)
    assert vendor.texts() == []
    vendor.faults.set("sms", "slow", 60)
    assert send(vendor).status_code == 201


def test_a_delivery_is_reported_to_the_callback() -> None:
    with run_wire() as callback, run_africas_talking(f"{callback.url}/reports") as vendor:
        send(vendor)
        assert callback.heard.wait(10)
    ((path, _, form),) = callback.posted
    assert path == "/reports"
    assert (form["status"], form["phoneNumber"]) == ("Success", "+254711000021")


def test_a_callback_that_is_not_there_harms_nothing() -> None:
    with run_africas_talking("http://127.0.0.1:1/reports") as vendor:
        assert send(vendor).status_code == 201
        assert send(vendor).status_code == 201


def test_it_refuses_texts_with_the_code_it_was_told(vendor: Vendor) -> None:
    vendor.faults.set("sms", "error", 60, code=405)
    (recipient,) = send(vendor).json()["SMSMessageData"]["Recipients"]
    assert (recipient["statusCode"], recipient["status"]) == (405, "InsufficientBalance")

    vendor.faults.set("sms", "error", 60, code=402)
    assert send(vendor).json()["SMSMessageData"] == {"Message": "InvalidSenderId", "Recipients": []}

    vendor.faults.set("sms", "error", 60)
    assert send(vendor).status_code == 500
    assert vendor.texts() == []
