"""What runs by the clock: the sweep for lost texts, and the watch on codes that nobody types in."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func

from fieldgate import queues
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.schedules import RESERVE_SECONDS
from sms import requeue_sms, requeueing, send_sms, store, watch_conversion
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.sqs import LocalSqs
from tests.support.texts import Vendor, add_text, text_row

EVENT = {"id": "0b9a1f7e-6f0e-4d55-9d10-6a3a1b1c7e01", "detail-type": "Scheduled Event"}
LATE = store.OVERDUE + timedelta(seconds=1)
ABANDONED = store.LEASE + timedelta(seconds=1)
HOUR_AGO = timedelta(minutes=61)


def queued(sqs: LocalSqs) -> set[str]:
    """Return what one asked the queue to take."""
    batches = [call["Entries"] for name, call in sqs.calls if name == "SendMessageBatch"]
    return {entry["MessageBody"] for batch in batches for entry in batch}


def sweep(seconds: int = 28) -> None:
    requeue_sms.handler(EVENT, LambdaContext(seconds * 1000))


def test_a_text_whose_message_was_lost_is_sent_after_all(
    deployed: Database, sqs: LocalSqs, vendor: Vendor
) -> None:
    message_id = add_text(deployed, age=LATE)
    sweep()
    event = sqs.receive()
    sqs.settle(event, send_sms.handler(event, LambdaContext(55_000)))
    assert text_row(deployed, message_id)["state"] == "sent"
    sweep()
    assert queued(sqs) == {str(message_id)}


def test_the_sweep_finds_what_is_late_and_nothing_else(deployed: Database, sqs: LocalSqs) -> None:
    now = func.now()
    late = {
        add_text(deployed, age=LATE),
        add_text(deployed, age=ABANDONED, state="sending", sending_since=now - ABANDONED),
        add_text(deployed, age=ABANDONED, sending_since=now - ABANDONED, attempts=3),
    }
    add_text(deployed)  # just written
    add_text(deployed, age=ABANDONED, state="sending", sending_since=now)  # being sent
    add_text(deployed, age=ABANDONED, sending_since=now - LATE, attempts=3)  # comes by itself
    for state in ("sent", "delivered", "failed", "expired"):
        add_text(deployed, age=LATE, state=state)
    sweep()
    assert queued(sqs) == {str(message_id) for message_id in late}


def test_what_it_is_too_late_for_is_put_away(deployed: Database, sqs: LocalSqs) -> None:
    over = [
        add_text(deployed, expires_in=timedelta(seconds=-1)),
        add_text(deployed, age=LATE, verified=True),
    ]
    sweep()
    assert [text_row(deployed, message_id)["state"] for message_id in over] == ["expired"] * 2
    assert queued(sqs) == set()


def test_a_notice_is_put_away_after_a_day(deployed: Database, sqs: LocalSqs) -> None:
    past: Any = {"kind": "phone_changed", "expires_in": timedelta(hours=-23), "verified": True}
    news = add_text(deployed, age=timedelta(hours=23), **past)
    old = add_text(deployed, age=store.NEWS_TIME, **past)
    sweep()
    states = [text_row(deployed, message_id)["state"] for message_id in (news, old)]
    assert states == ["queued", "expired"]
    assert queued(sqs) == {str(news)}


def test_codes_come_before_older_notices(
    deployed: Database, sqs: LocalSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requeueing, "LIMIT", 1)
    add_text(deployed, age=timedelta(hours=2), kind="already_registered")
    code = add_text(deployed, age=LATE)
    sweep()
    assert queued(sqs) == {str(code)}


def test_a_text_that_is_being_sent_is_not_put_away(deployed: Database, sqs: LocalSqs) -> None:
    past = timedelta(seconds=-1)
    sent = add_text(deployed, expires_in=past, state="sending", sending_since=func.now())
    sweep()
    assert text_row(deployed, sent)["state"] == "sending"


def test_the_oldest_come_first_and_no_more_than_there_is_time_for(
    deployed: Database, sqs: LocalSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requeueing, "LIMIT", 2)
    ages = [LATE + timedelta(seconds=seconds) for seconds in (0, 20, 10)]
    texts = [str(add_text(deployed, age=age)) for age in ages]
    sweep()
    assert queued(sqs) == {texts[1], texts[2]}


def test_ten_texts_are_put_on_the_queue_in_one_call(
    deployed: Database, sqs: LocalSqs, capsys: pytest.CaptureFixture[str]
) -> None:
    late = {str(add_text(deployed, age=LATE)) for _ in range(queues.BATCH + 1)}
    sweep()
    assert queued(sqs) == late
    assert [name for name, _ in sqs.calls] == ["SendMessageBatch"] * 2
    assert metrics(capsys.readouterr().out) == {
        ("SmsExpired", ""): 0,
        ("SmsRequeued", ""): queues.BATCH + 1,
    }


def test_what_the_queue_does_not_take_waits_for_the_next_sweep(
    deployed: Database, sqs: LocalSqs, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    refused, taken = (str(add_text(deployed, age=LATE)) for _ in range(2))
    sqs.refused_bodies = {refused}
    sweep()
    assert [record["body"] for record in sqs.receive()["Records"]] == [taken]
    (line,) = log.said("texts late")
    assert (line["overdue"], line["requeued"]) == (2, 1)
    assert metrics(capsys.readouterr().out)["SmsRequeued", ""] == 1

    sqs.refused_bodies = set()
    sweep()
    assert refused in {record["body"] for record in sqs.receive()["Records"]}


def test_a_queue_that_takes_nothing_fails_the_sweep_which_is_measured_all_the_same(
    deployed: Database, sqs: LocalSqs, capsys: pytest.CaptureFixture[str]
) -> None:
    add_text(deployed, age=LATE)
    add_text(deployed, expires_in=timedelta(seconds=-1))
    sqs.refusing = True
    with pytest.raises(Unavailable):
        sweep()
    assert len(sqs.calls) == 1
    assert metrics(capsys.readouterr().out) == {("SmsExpired", ""): 1, ("SmsRequeued", ""): 0}


def test_a_sweep_without_time_begins_nothing(deployed: Database, sqs: LocalSqs) -> None:
    message_id = add_text(deployed, expires_in=timedelta(seconds=-1))
    sweep(RESERVE_SECONDS)
    assert text_row(deployed, message_id)["state"] == "queued"


def metrics(printed: str) -> dict[tuple[str, str], float]:
    """Read the metrics that were written, by name and country or prefix.

    Those of rounds as such are tests/integration/test_schedules.py's.
    """
    import json

    found: dict[tuple[str, str], float] = {}
    for line in printed.splitlines():
        written: dict[str, Any] = json.loads(line)
        if "schedule" in written:
            continue
        for about in written["_aws"]["CloudWatchMetrics"]:
            for metric in about["Metrics"]:
                (value,) = written[metric["Name"]]
                place = written.get("country", written.get("prefix", ""))
                found[metric["Name"], place] = value
    return found


def add_codes(database: Database, prefix: str, sent: int, verified: int, **columns: Any) -> None:
    defaults: dict[str, Any] = {
        "age": timedelta(minutes=5),
        "state": "sent",
        "sent_at": func.now(),
    }
    for number in range(sent):
        add_text(
            database,
            phone=f"{prefix}{number:03}",
            verified=number < verified,
            **(defaults | columns),
        )


def test_a_range_that_is_pumped_is_noticed_and_named(
    deployed: Database, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    add_codes(deployed, "+254711000", sent=12, verified=2)
    add_codes(deployed, "+254722000", sent=12, verified=3)
    add_codes(deployed, "+256700000", sent=9, verified=0)
    watch_conversion.handler(EVENT, LambdaContext())

    (line,) = log.said("codes sent and not typed in")
    assert (line["prefix"], line["sent"], line["verified"]) == ("254711000xxx", 12, 2)
    assert metrics(capsys.readouterr().out) == {
        ("OtpPumpingSuspected", ""): 1,
        ("OtpConversion", ""): pytest.approx(100 * 5 / 33),
        ("OtpConversion", "254711000xxx"): pytest.approx(100 * 2 / 12),
        ("OtpConversion", "254722000xxx"): 25,
        ("OtpSentLastHour", "KE"): 24,
        ("OtpVerifiedLastHour", "KE"): 5,
        ("OtpSentLastHour", "UG"): 9,
        ("OtpVerifiedLastHour", "UG"): 0,
    }


def test_pumping_that_spreads_over_many_ranges_is_noticed_by_its_country(
    deployed: Database, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(10):
        add_codes(deployed, f"+25670000{number}", sent=5, verified=int(number < 9))
    watch_conversion.handler(EVENT, LambdaContext())

    (line,) = log.said("codes sent and not typed in")
    assert (line["country"], line["sent"], line["verified"]) == ("UG", 50, 9)
    assert line["request_id"] == EVENT["id"]
    assert metrics(capsys.readouterr().out) == {
        ("OtpPumpingSuspected", ""): 1,
        ("OtpConversion", ""): 18,
        ("OtpSentLastHour", "UG"): 50,
        ("OtpVerifiedLastHour", "UG"): 9,
    }


@pytest.mark.parametrize(
    "columns",
    [
        {"age": HOUR_AGO},
        {"age": timedelta(seconds=30)},
        {"kind": "already_registered"},
        {"sent_at": None, "state": "failed"},
    ],
    ids=["long ago", "just now", "no code", "never sent"],
)
def test_what_says_nothing_of_the_last_hours_codes_is_not_counted(
    deployed: Database, capsys: pytest.CaptureFixture[str], columns: dict[str, Any]
) -> None:
    add_codes(deployed, "+254711000", sent=12, verified=0, **columns)
    watch_conversion.handler(EVENT, LambdaContext())
    assert metrics(capsys.readouterr().out) == {("OtpPumpingSuspected", ""): 0}


def test_a_code_that_was_sent_twice_counts_once(
    deployed: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    from sqlalchemy import insert

    from fieldgate.db.tables.one_time_codes import sms_messages

    message_id = add_text(
        deployed, age=timedelta(minutes=5), state="sent", sent_at=func.now(), verified=True
    )
    row = text_row(deployed, message_id)
    again = {name: row[name] for name in ("challenge_id", "phone", "kind", "state", "sent_at")}
    deployed.transact(lambda connection: connection.execute(insert(sms_messages).values(again)))
    watch_conversion.handler(EVENT, LambdaContext())
    assert metrics(capsys.readouterr().out)["OtpSentLastHour", "KE"] == 1
