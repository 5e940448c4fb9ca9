"""The worker behind the queue of texts: a real queue (moto's), Lambda's part played here."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func

from fieldgate import queues
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.one_time_codes import code_for
from fieldgate.sms.sending import sending
from fieldgate.sms.waking import wake_sender
from sms import send_sms, store
from sms.delivering import deliver
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.racing import race
from tests.support.sqs import DEAD_LETTERS, MAX_RECEIVES, LocalSqs
from tests.support.texts import PHONE, Vendor, Wire, add_text, change_text, recipient, text_row

NOTICES = ["already_registered", "password_first", "phone_changed"]
ABANDONED = store.LEASE + timedelta(seconds=1)


def work(sqs: LocalSqs) -> dict[str, Any]:
    """Wake the function with what is visible, and settle as Lambda does; returns its answer."""
    event = sqs.receive()
    assert event["Records"], "nothing to deliver"
    answer = send_sms.handler(event, LambdaContext(55_000))
    sqs.settle(event, answer)
    return answer


def send_again(database: Database, message_id: uuid.UUID) -> None:
    """Work on a text as the next delivery of its message would."""
    deliver(database, sending(), str(message_id))


def code_of(database: Database, message_id: uuid.UUID) -> str:
    return code_for(text_row(database, message_id)["challenge_id"], PHONE)


def test_a_queued_text_is_sent_with_its_code(
    deployed: Database, sqs: LocalSqs, vendor: Vendor
) -> None:
    message_id = add_text(deployed)
    wake_sender(message_id)
    assert work(sqs) == {"batchItemFailures": []}

    (text,) = vendor.texts(PHONE)
    assert text.startswith(f"{code_of(deployed, message_id)} is your Fieldgate code.")
    assert "10 minutes" in text
    row = text_row(deployed, message_id)
    assert (row["state"], row["provider"], row["attempts"]) == ("sent", "africas_talking", 1)
    assert row["provider_message_id"].startswith("ATXid_")
    assert row["sent_at"] is not None
    assert sqs.held() == 0


@pytest.mark.parametrize("kind", NOTICES)
def test_other_texts_hold_no_code(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, kind: str
) -> None:
    message_id = add_text(deployed, kind=kind)
    wake_sender(message_id)
    work(sqs)
    (text,) = vendor.texts(PHONE)
    assert code_of(deployed, message_id) not in text


def test_neither_code_nor_number_is_logged_or_queued(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, log: Log
) -> None:
    message_id = add_text(deployed)
    wake_sender(message_id)
    work(sqs)
    assert log.said("text sent")
    change_text(deployed, message_id, state="queued")
    vendor.faults.set("sms", "error", 60)
    wake_sender(message_id)
    work(sqs)
    assert log.said("message failed")
    queued = str(sqs.calls)
    for secret in (code_of(deployed, message_id), PHONE, PHONE[1:]):
        assert secret not in log.text
        assert secret not in queued


def test_one_text_is_sent_once_by_twenty_workers(
    deployed: Database, database_url: str, vendor: Vendor
) -> None:
    message_id = add_text(deployed)
    race(database_url, [lambda database: send_again(database, message_id)] * 20)
    assert len(vendor.texts()) == 1
    assert text_row(deployed, message_id)["attempts"] == 1


def test_a_worker_that_was_killed_after_sending_is_followed_by_the_same_code(
    deployed: Database, vendor: Vendor
) -> None:
    message_id = add_text(deployed)
    claimed = deployed.transact(lambda connection: store.claim(connection, message_id))
    assert claimed is not None
    send_again(deployed, message_id)
    assert vendor.texts() == []  # its lease lasts

    change_text(deployed, message_id, sending_since=func.now() - ABANDONED)
    send_again(deployed, message_id)
    (text,) = vendor.texts()
    assert text.startswith(code_of(deployed, message_id))

    # Should the first one live after all, it changes nothing any more.
    deployed.transact(lambda connection: store.record_failed(connection, claimed, "late"))
    assert text_row(deployed, message_id)["state"] == "sent"


@pytest.mark.parametrize("vendors_id", ["None", "ATXid_1"])
def test_an_id_that_the_vendor_gives_twice_has_nothing_sent_again(
    deployed: Database, sqs: LocalSqs, wire: Wire, vendors_id: str
) -> None:
    wire.say([recipient(101, vendors_id)])
    texts = [add_text(deployed), add_text(deployed)]
    for message_id in texts:
        wake_sender(message_id)
        assert work(sqs) == {"batchItemFailures": []}
    rows = [text_row(deployed, message_id) for message_id in texts]
    assert [row["state"] for row in rows] == ["sent", "sent"]
    kept = None if vendors_id == "None" else vendors_id
    assert [row["provider_message_id"] for row in rows] == [kept, None]
    assert rows[1]["sent_at"] is not None


def test_a_vendor_that_is_down_is_tried_again_later(
    deployed: Database, sqs: LocalSqs, vendor: Vendor
) -> None:
    message_id = add_text(deployed)
    wake_sender(message_id)
    vendor.faults.set("sms", "down", 60)
    assert len(work(sqs)["batchItemFailures"]) == 1
    row = text_row(deployed, message_id)
    assert (row["state"], row["failure"]) == ("queued", "ConnectionError")
    assert (sqs.held(), sqs.pauses()) == (1, [10])

    vendor.faults.set("sms", "down", 0)
    send_again(deployed, message_id)
    assert len(vendor.texts()) == 1
    row = text_row(deployed, message_id)
    assert (row["state"], row["failure"], row["attempts"]) == ("sent", None, 2)


@pytest.mark.parametrize("verified", [True, False])
def test_a_text_that_comes_too_late_is_not_sent(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, *, verified: bool
) -> None:
    over = timedelta(minutes=10) if verified else timedelta(seconds=-1)
    message_id = add_text(deployed, expires_in=over, verified=verified)
    wake_sender(message_id)
    assert work(sqs) == {"batchItemFailures": []}
    assert vendor.texts() == []
    assert text_row(deployed, message_id)["state"] == "expired"
    assert sqs.held() == 0


@pytest.mark.parametrize("kind", NOTICES)
@pytest.mark.parametrize("verified", [True, False])
def test_a_notice_is_news_for_a_day_whatever_became_of_its_challenge(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, kind: str, *, verified: bool
) -> None:
    challenge: dict[str, Any] = {"expires_in": timedelta(hours=-22), "verified": verified}
    late = add_text(deployed, kind=kind, age=store.NEWS_TIME - timedelta(minutes=1), **challenge)
    too_late = add_text(deployed, kind=kind, age=store.NEWS_TIME, **challenge)
    for message_id in (late, too_late):
        wake_sender(message_id)
        assert work(sqs) == {"batchItemFailures": []}
    assert len(vendor.texts()) == 1
    states = [text_row(deployed, message_id)["state"] for message_id in (late, too_late)]
    assert states == ["sent", "expired"]


def test_a_number_that_is_refused_is_not_tried_again(
    deployed: Database, sqs: LocalSqs, wire: Wire
) -> None:
    wire.say([recipient(406)])
    message_id = add_text(deployed)
    wake_sender(message_id)
    assert work(sqs) == {"batchItemFailures": []}
    row = text_row(deployed, message_id)
    assert (row["state"], row["failure"]) == ("failed", "UserInBlacklist")
    assert row["finished_at"] is not None


def test_what_somebody_must_mend_is_tried_again(
    deployed: Database, sqs: LocalSqs, wire: Wire
) -> None:
    wire.say([recipient(405)])
    message_id = add_text(deployed)
    wake_sender(message_id)
    assert len(work(sqs)["batchItemFailures"]) == 1
    assert text_row(deployed, message_id)["state"] == "queued"


def test_without_credentials_a_text_fails_and_is_not_logged(
    deployed: Database, sqs: LocalSqs, log: Log
) -> None:
    message_id = add_text(deployed)
    wake_sender(message_id)
    assert work(sqs) == {"batchItemFailures": []}
    row = text_row(deployed, message_id)
    assert (row["state"], row["failure"]) == ("failed", "not_configured")
    assert code_of(deployed, message_id) not in log.text


def test_in_development_mode_the_code_is_logged_and_not_sent(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, environment: pytest.MonkeyPatch, log: Log
) -> None:
    environment.setenv("OTP_DEV_MODE", "true")
    message_id = add_text(deployed)
    wake_sender(message_id)
    work(sqs)
    (line,) = log.said("text logged, not sent")
    assert code_of(deployed, message_id) in line["text"]
    assert vendor.texts() == []
    assert text_row(deployed, message_id)["provider"] == "log"


@pytest.mark.parametrize("message_id", [None, uuid.uuid4()])
def test_an_id_that_is_no_texts_is_done_with(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, message_id: uuid.UUID | None
) -> None:
    wake_sender(message_id)
    assert work(sqs) == {"batchItemFailures": []}
    assert sqs.held() == 0


def test_poison_is_a_dead_letter_after_its_few_receives(deployed: Database, sqs: LocalSqs) -> None:
    queues.send(sqs.url, "no id")
    for _ in range(MAX_RECEIVES):
        work(sqs)
    assert sqs.receive()["Records"] == []
    assert sqs.held(DEAD_LETTERS) == 1


def test_with_the_database_down_the_message_is_kept(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, environment: pytest.MonkeyPatch
) -> None:
    message_id = add_text(deployed)
    wake_sender(message_id)
    with environment.context() as patch:
        deployed.close()
        patch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/nothing")
        assert len(work(sqs)["batchItemFailures"]) == 1
    assert vendor.texts() == []
    assert text_row(deployed, message_id)["state"] == "queued"


def test_a_wrong_setting_costs_no_text(
    deployed: Database, sqs: LocalSqs, vendor: Vendor, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("PEPPER")
    message_id = add_text(deployed)
    with pytest.raises(Unavailable):
        send_again(deployed, message_id)
    row = text_row(deployed, message_id)
    assert (row["state"], row["failure"]) == ("queued", "ConfigurationError")


def test_waking_never_fails_and_says_so(
    sqs: LocalSqs, environment: pytest.MonkeyPatch, log: Log
) -> None:
    sqs.refusing = True
    wake_sender(uuid.uuid4())
    assert log.said("sender of texts not woken; the sweep will")


def test_waking_without_a_queue_is_said_once(environment: pytest.MonkeyPatch, log: Log) -> None:
    environment.delenv("SMS_QUEUE_URL", raising=False)
    wake_sender(uuid.uuid4())
    wake_sender(None)
    assert len(log.said("feature off")) == 1


def test_a_text_to_nobody_wakes_the_worker_all_the_same(sqs: LocalSqs) -> None:
    wake_sender(None)
    wake_sender(uuid.uuid4())
    first, second = (body for name, body in sqs.calls if name == "SendMessage")
    assert first.keys() == second.keys()
    assert len(first["MessageBody"]) == len(second["MessageBody"])
