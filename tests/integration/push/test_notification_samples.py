"""The sample events about notifications and their rounds: each is answered as documented."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from fieldgate.db.tables.push import notifications
from local import template as sam
from push import cleanup_pushes, deliver_push, get_notification, send_notification
from tests.support.gateway import Handler, LambdaContext
from tests.support.people import Person, register
from tests.support.pushes import Board
from tests.support.sqs import LocalSqs

EVENTS = Path(__file__).parents[3] / "events"
HTTP_SAMPLES: dict[str, tuple[Handler, int]] = {
    "send_notification": (send_notification.handler, 202),
    "get_notification": (get_notification.handler, 200),
}
ROUND_SAMPLES = {"deliver_push", "cleanup_pushes"}
# In test_device_samples.py.
OTHER_SAMPLES = {
    *("register_device", "list_devices", "delete_device"),
    *("notification_preferences", "list_inbox", "mark_read"),
}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def test_every_function_of_push_has_its_sample_run_here_or_beside() -> None:
    handlers = [
        properties["Handler"].split(".")
        for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
    ]
    run = HTTP_SAMPLES.keys() | ROUND_SAMPLES | OTHER_SAMPLES
    assert {name for domain, name, _ in handlers if domain == "push"} == run


def answer(name: str) -> dict[str, Any]:
    handler, status = HTTP_SAMPLES[name]
    event = sample(name)
    said = handler(event, None)
    assert said["statusCode"] == status, said
    assert said["headers"]["x-request-id"] == event["headers"]["x-request-id"]
    content: dict[str, Any] = json.loads(said["body"])["data"]
    return content


def test_the_sample_of_a_notification_tells_whom_it_names(
    board: Board, push_queue: LocalSqs
) -> None:
    event = sample("send_notification")
    sender = UUID(event["requestContext"]["authorizer"]["lambda"]["claims"]["sub"])
    (told,) = map(UUID, json.loads(event["body"])["audience"]["userIds"])
    for number, id_ in enumerate((sender, told)):
        person = Person("", None, phone=f"+25471100020{number}", email=None, id=id_)
        register(board.database, person)

    notification_id = answer("send_notification")["notificationId"]

    assert board.recipient(UUID(notification_id), told)["state"] == "queued"
    assert push_queue.held() == 1


def test_the_sample_of_a_look_finds_its_notification(board: Board) -> None:
    id_ = sample("get_notification")["pathParameters"]["id"]
    row = {"id": id_, "kind": "general", "title": "Rain", "body": "Today", "collapse_key": "rain"}
    board.database.transact(
        lambda connection: connection.execute(insert(notifications).values(row)), actor="tests"
    )
    assert answer("get_notification")["id"] == id_


def test_the_queues_sample_is_a_word_that_pushers_know(board: Board) -> None:
    assert deliver_push.handler(sample("deliver_push"), LambdaContext(90_000)) == {
        "batchItemFailures": []
    }


def test_the_schedules_sample_pushes_what_nobody_woke_it_for(board: Board) -> None:
    board.add_person("agent")
    notification_id = board.tell()
    assert deliver_push.handler(sample("schedules/deliver_push"), LambdaContext(90_000)) is None
    assert board.states(notification_id) == {"suppressed": 1}


def test_the_schedules_sample_makes_a_round(board: Board) -> None:
    done = cleanup_pushes.handler(sample("cleanup_pushes"), LambdaContext(60_000))
    assert done == {"devices": 0, "notification_recipients": 0, "notifications": 0}
