"""The sample events of texts are real in shape: each one, with its ids filled in, succeeds."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from local import template as sam
from sms import on_delivery_report, requeue_sms, send_sms, store, watch_conversion
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.sqs import LocalSqs
from tests.support.texts import Vendor, add_text, text_row

EVENTS = Path(__file__).parents[3] / "events"
SAMPLES = {"send_sms", "on_delivery_report", "requeue_sms", "watch_conversion"}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def test_every_function_of_texts_has_its_sample_run_here() -> None:
    handlers = [
        properties["Handler"].split(".")
        for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
    ]
    assert {name for domain, name, _ in handlers if domain == "sms"} == SAMPLES


def test_the_queues_sample_sends_its_text_under_its_request_id(
    deployed: Database, vendor: Vendor, log: Log
) -> None:
    event = sample("send_sms")
    (record,) = event["Records"]
    message_id = add_text(deployed, id=UUID(record["body"]))
    assert send_sms.handler(event, LambdaContext(55_000)) == {"batchItemFailures": []}
    assert text_row(deployed, message_id)["state"] == "sent"
    (line,) = log.said("text sent")
    assert line["request_id"] == record["messageAttributes"]["request_id"]["stringValue"]


def test_the_report_sample_marks_its_text_as_delivered(
    deployed: Database, environment: pytest.MonkeyPatch
) -> None:
    event = sample("on_delivery_report")
    environment.setenv("DELIVERY_REPORT_SECRET", event["pathParameters"]["secret"])
    message_id = add_text(
        deployed,
        state="sent",
        provider="africas_talking",
        provider_message_id="ATXid_4f1c0d3e8b7a6952c1d0e9f8a7b6c5d4",
    )
    said = on_delivery_report.handler(event, None)
    assert said["statusCode"] == 204, said
    assert said["headers"]["x-request-id"] == event["headers"]["x-request-id"]
    assert text_row(deployed, message_id)["state"] == "delivered"


def test_the_schedules_samples_do_their_rounds(deployed: Database, sqs: LocalSqs, log: Log) -> None:
    add_text(deployed, age=store.OVERDUE * 2)
    requeue_sms.handler(sample("requeue_sms"), LambdaContext())
    (line,) = log.said("texts late")
    assert line["request_id"] == sample("requeue_sms")["id"]
    assert sqs.held() == 1
    watch_conversion.handler(sample("watch_conversion"), LambdaContext())
