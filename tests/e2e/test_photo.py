"""A photo's way from phone to ready."""

import hashlib
import io

import httpx
import pytest
from PIL import Image

from local.sample_photo import camera_jpeg
from tests import photos
from tests.e2e.conftest import Stack, finished, presign, send, wait_for


def test_a_photo_becomes_two_clean_pictures(agent: httpx.Client) -> None:
    photo = camera_jpeg()
    upload = presign(agent, photo, sha256=hashlib.sha256(photo).hexdigest())
    assert set(upload) == {"mediaId", "method", "url", "headers", "expiresAt"}
    before = agent.get(f"/api/v1/media/{upload['mediaId']}").json()["data"]
    assert before["state"] == "pending"
    assert before["variants"] == {"web": None, "ai": None}
    assert before["url"] is None
    assert send(upload, photo).status_code == 200

    media = finished(agent, upload["mediaId"])

    assert media["state"] == "ready"
    assert media["sha256"] == hashlib.sha256(photo).hexdigest()
    sizes = {name: (v["width"], v["height"]) for name, v in media["variants"].items()}
    # The camera was held upright: EXIF orientation 6 turns 4,000 x 3,000.
    assert sizes == {"web": (375, 500), "ai": (450, 600)}
    assert media["url"].split("?")[0] == media["variants"]["web"]["url"].split("?")[0]
    for variant in media["variants"].values():
        picture = httpx.get(variant["url"])
        assert picture.headers["content-type"] == "image/jpeg"
        assert len(picture.content) == variant["bytes"]
        with Image.open(io.BytesIO(picture.content)) as image:
            assert image.size == (variant["width"], variant["height"])
            assert not image.getexif()
        assert b"Exif" not in picture.content
    assert media["variants"]["ai"]["bytes"] <= 100_000


def test_a_repeated_event_changes_nothing(stack: Stack, agent: httpx.Client) -> None:
    photo = photos.camera_jpeg(640, 480)
    upload = presign(agent, photo)
    assert send(upload, photo).status_code == 200
    first = finished(agent, upload["mediaId"])
    pictures = {name: httpx.get(v["url"]).content for name, v in first["variants"].items()}
    done = stack.function("uploads.on_media_uploaded")["invocations"]

    # The same PUT again, as a phone does that did not hear the answer.
    assert send(upload, photo).status_code == 200
    wait_for(lambda: stack.function("uploads.on_media_uploaded")["invocations"] > done)

    again = finished(agent, upload["mediaId"])
    assert again["state"] == "ready"
    assert {name: httpx.get(v["url"]).content for name, v in again["variants"].items()} == pictures


# The API refuses an empty file at the door.
@pytest.mark.parametrize("name", sorted(photos.HOSTILE.keys() - {"zero bytes"}))
def test_a_hostile_file_is_rejected_and_never_published(name: str, agent: httpx.Client) -> None:
    content_type, make = photos.HOSTILE[name]
    body = make()
    extension = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}[content_type]
    upload = presign(agent, body, contentType=content_type, filename=f"leaf.{extension}")
    assert send(upload, body).status_code == 200

    media = finished(agent, upload["mediaId"])

    assert media["state"] == "rejected"
    assert media["rejectedReason"]
    assert media["url"] is None
    assert media["variants"] == {"web": None, "ai": None}


def test_a_deleted_media_is_gone_with_its_pictures(agent: httpx.Client) -> None:
    photo = photos.camera_jpeg(640, 480)
    upload = presign(agent, photo)
    send(upload, photo)
    media = finished(agent, upload["mediaId"])

    assert agent.delete(f"/api/v1/media/{media['id']}").status_code == 204

    assert agent.get(f"/api/v1/media/{media['id']}").status_code == 404
    assert agent.delete(f"/api/v1/media/{media['id']}").status_code == 404
    assert httpx.get(media["url"]).status_code == 404


def test_a_media_is_its_owners_and_the_admins(stack: Stack, agent: httpx.Client) -> None:
    upload = presign(agent, b"x" * 10, folder="crop-demands")
    path = f"/api/v1/media/{upload['mediaId']}"
    with stack.phone("warehouse_manager") as other, stack.phone("admin") as admin:
        assert other.get(path).status_code == 404
        assert other.delete(path).status_code == 404
        assert admin.get(path).json()["data"]["folder"] == "crop-demands"
        listed = other.get("/api/v1/media?folder=crop-demands").json()
        assert listed["pagination"]["total"] == 0
        listed = admin.get("/api/v1/media?folder=crop-demands").json()
        assert upload["mediaId"] in {media["id"] for media in listed["data"]}
