"""A dependency breaks and comes back: the documented answer meanwhile, and nothing is lost."""

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests import photos
from tests.e2e.conftest import Stack, finished, presign, send, wait_for

# The longest a caller may be kept waiting to hear that something is down.
ANSWER_SECONDS = 10


def healthy(stack: Stack) -> bool:
    answer = httpx.get(f"{stack.url}/health", timeout=30)
    return answer.status_code == 200 and answer.json() == {"status": "Healthy"}


def assert_unhealthy_in_time(stack: Stack) -> None:
    answer = httpx.get(f"{stack.url}/health", timeout=30)
    assert (answer.status_code, answer.json()) == (503, {"status": "Unhealthy"})
    assert answer.elapsed.total_seconds() < ANSWER_SECONDS


def assert_unavailable_in_time(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "UNAVAILABLE"
    assert answer.elapsed.total_seconds() < ANSWER_SECONDS


@pytest.mark.parametrize("mode", ["down", "error", "hang"])
def test_the_database_fails_and_comes_back(stack: Stack, agent: httpx.Client, mode: str) -> None:
    # Both functions have a connection open when it happens; the second question of each opens one.
    assert healthy(stack)
    assert agent.get("/api/v1/auth/me").status_code == 200
    stack.break_("database", mode, 60)
    try:
        for _ in range(2):
            assert_unhealthy_in_time(stack)
            assert_unavailable_in_time(agent.get("/api/v1/auth/me"))
        # What needs no database goes on.
        assert agent.get("/generate_204").status_code == 204
    finally:
        stack.break_("database", mode, 0)
    wait_for(lambda: healthy(stack))
    assert agent.get("/api/v1/auth/me").status_code == 200


def test_the_cache_goes_down_and_comes_back(stack: Stack) -> None:
    address = urlsplit(stack.address("cache"))

    def ping() -> bytes:
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100)

    assert ping() == b"+PONG\r\n"
    stack.break_("cache", "down", 60)
    try:
        with pytest.raises(ConnectionError):
            ping()
    finally:
        stack.break_("cache", "down", 0)
    assert ping() == b"+PONG\r\n"


def test_a_deletion_that_hanging_storage_stopped_is_taken_up_again(
    stack: Stack, agent: httpx.Client
) -> None:
    photo = photos.camera_jpeg(640, 480)
    upload = presign(agent, photo)
    assert send(upload, photo).status_code == 200
    media = finished(agent, upload["mediaId"])
    path = f"/api/v1/media/{media['id']}"
    stack.break_("s3", "hang", 60)
    try:
        assert_unavailable_in_time(agent.delete(path))
    finally:
        stack.break_("s3", "hang", 0)

    assert agent.delete(path).status_code == 204
    assert httpx.get(media["url"]).status_code == 404


def test_a_photo_that_came_while_storage_fails_for_us_is_finished_later(
    stack: Stack, agent: httpx.Client
) -> None:
    photo = photos.camera_jpeg(640, 480)
    upload = presign(agent, photo)
    calls = stack.function("uploads.on_media_uploaded")["invocations"]
    failures = stack.said("message failed")
    stack.break_("s3", "error", 60)
    try:
        # Past the broken gate, through which the function has to read: so it fails for certain,
        # however fast it is.
        bucket, _, key = urlsplit(upload["url"]).path.removeprefix("/").partition("/")
        stack.client("s3").put_object(
            Bucket=bucket, Key=key, Body=photo, ContentType=upload["headers"]["Content-Type"]
        )
        wait_for(lambda: stack.said("message failed") > failures)
        assert agent.get(f"/api/v1/media/{upload['mediaId']}").json()["data"]["state"] != "ready"
    finally:
        stack.break_("s3", "error", 0)

    assert finished(agent, upload["mediaId"])["state"] == "ready"
    assert stack.function("uploads.on_media_uploaded")["invocations"] >= calls + 2
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
