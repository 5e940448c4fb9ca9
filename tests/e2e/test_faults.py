"""A dependency breaks and comes back: the documented answer meanwhile, and nothing is lost."""

import json
import time

import httpx

from tests import photos
from tests.e2e.conftest import Stack, finished, presign, send, wait_for

# The longest a caller may be kept waiting to hear that the database is down.
ANSWER_SECONDS = 10


def healthy(stack: Stack) -> bool:
    answer = httpx.get(f"{stack.url}/health", timeout=30)
    return answer.status_code == 200 and answer.json() == {"status": "Healthy"}


def test_the_database_goes_down_and_comes_back(stack: Stack, agent: httpx.Client) -> None:
    assert healthy(stack)
    for mode in ("down", "error"):
        stack.break_("database", mode, 60)
        try:
            asked = time.monotonic()
            answer = httpx.get(f"{stack.url}/health", timeout=30)
            assert (answer.status_code, answer.json()) == (503, {"status": "Unhealthy"})
            refused = agent.get("/api/v1/auth/me")
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "UNAVAILABLE"
            assert time.monotonic() - asked < 2 * ANSWER_SECONDS
            # What needs no database goes on.
            assert agent.get("/generate_204").status_code == 204
        finally:
            stack.break_("database", mode, 0)
        wait_for(lambda: healthy(stack))
        assert agent.get("/api/v1/auth/me").status_code == 200


def test_a_hanging_database_is_given_up_in_time(stack: Stack) -> None:
    # Every packet 1 s late each way: connecting takes longer than it may.
    stack.break_("database", "slow", 60)
    try:
        asked = time.monotonic()
        answer = httpx.get(f"{stack.url}/health", timeout=30)
        assert answer.status_code in {200, 503}
        assert time.monotonic() - asked < ANSWER_SECONDS
    finally:
        stack.break_("database", "slow", 0)
    wait_for(lambda: healthy(stack))


def test_a_photo_sent_while_storage_fails_for_us_is_finished_later(
    stack: Stack, agent: httpx.Client
) -> None:
    photo = photos.camera_jpeg(640, 480)
    upload = presign(agent, photo)
    assert send(upload, photo).status_code == 200
    stack.break_("s3", "error", 3)
    # However far the function had come: what it could not do is done when the message comes back.
    assert finished(agent, upload["mediaId"])["state"] == "ready"
    assert stack.queue("MediaUploadedQueue")["deadLetters"] == 0


def test_a_message_that_no_repeat_can_help_ends_among_the_dead_letters(stack: Stack) -> None:
    sqs = stack.client("sqs")
    urls = sqs.list_queues()["QueueUrls"]
    name = next(u for u in urls if "MediaUploadedQueue" in u)
    sqs.send_message(QueueUrl=name, MessageBody=json.dumps({"hello": "there"}))
    wait_for(lambda: stack.queue("MediaUploadedQueue")["deadLetters"] == 1)
    # As S3 sends when a bucket's notification is set up; it is no poison.
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "originals"}
    sqs.send_message(QueueUrl=name, MessageBody=json.dumps(test_event))
    wait_for(lambda: stack.queue("MediaUploadedQueue")["visible"] == 0)
    wait_for(lambda: stack.queue("MediaUploadedQueue")["inFlight"] == 0)
    depths = stack.queue("MediaUploadedQueue")
    assert depths["deadLetters"] == 1
    dead = next(u for u in urls if "MediaUploadedDeadLetters" in u)
    sqs.purge_queue(QueueUrl=dead)


def test_a_wrong_order_to_break_things_is_refused(stack: Stack) -> None:
    url = f"{stack.url}/_local/faults"
    for order in ({}, {"target": "moon", "mode": "down", "seconds": 1}, {"target": "s3"}):
        answer = httpx.post(url, json=order)
        assert answer.status_code == 400
        assert answer.json()["message"]
    assert httpx.post(url, content=b"not json").status_code == 400
