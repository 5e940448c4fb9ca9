"""Field agents at work, by locust: a process of its own, since locust changes how Python waits.

    python -m benchmarks.load_users < orders.json

`benchmarks.load` starts it, with the address, the people and the pace on standard input; it prints
what came of it as JSON. Each agent signs in, registers the phone, keeps a WebSocket open with
pings, and does one thing after the other, each as often an hour as `HOURLY` says.
"""

# ruff: noqa: E402 - what waits must be changed before anything is imported that waits
from gevent import monkey

monkey.patch_all()

import itertools
import json
import os
import random
import re
import sys
import time
import uuid
from typing import Any, ClassVar
from urllib.request import urlopen

import gevent
import locust.log
import websocket
from gevent.lock import Semaphore
from locust import FastHttpUser
from locust.env import Environment
from locust.stats import RequestStats

from benchmarks.load_orders import ADDRESS_HEADER, HOURLY, PING_SECONDS, Orders
from benchmarks.upload_bodies import (
    DOCUMENT_BYTES,
    PDF_HEADER,
    chunks_body,
    chunks_of,
    document_body,
    photo_body,
)

POLL_SECONDS = 1.0
MOST_POLLS = 30
MOST_BEGIN_SECONDS = 300
CODE = re.compile(r"\b(\d{6})\b")

orders = Orders.from_json(json.loads(sys.stdin.read()))
people = itertools.cycle(orders.people)
photo = bytes.fromhex(orders.photo)
# What isn't the time of a request: until a photo is ready, a ping's answer is there.
waits = RequestStats()
signing_in = Semaphore(orders.at_once)
begun: list["FieldAgent"] = []


def seconds_between() -> float:
    """Return a pause from one thing that an agent does to the next, of a length by chance."""
    return random.expovariate(sum(HOURLY.values()) * orders.pace / 3600)


class FieldAgent(FastHttpUser):
    """One agent with a phone."""

    host = orders.url
    network_timeout = connection_timeout = 30.0
    # Who signs in looks whom they tell the password; locust wouldn't.
    insecure = False

    def wait_time(self) -> float:
        return seconds_between()

    def on_start(self) -> None:
        self.person = next(people)
        self.headers: dict[str, str] = {}
        if self.person["address"]:
            self.headers[ADDRESS_HEADER] = self.person["address"]
        self.offset: dict[str, Any] = {}
        with signing_in:
            token = self._sign_in_by_code() if self.person["byCode"] else self._sign_in()
            if token:
                self.headers["Authorization"] = f"Bearer {token}"
                body = {"token": f"load-{uuid.uuid4().hex}", "platform": "android"}
                self._ask("PUT", "/devices", body)
                self._listening = gevent.spawn(self._listen, token)
        begun.append(self)
        while not token:  # which is counted; whoever came in their place would be somebody else
            gevent.sleep(60)

    def on_stop(self) -> None:
        if hasattr(self, "_listening"):
            self._listening.kill()

    def _sign_in(self) -> Any:
        body = {"identifier": self.person["identifier"], "password": self.person["password"]}
        answer = self._ask("POST", "/auth/login", body | {"profile": "mobile"})
        return answer and answer["accessToken"]

    def _sign_in_by_code(self) -> Any:
        challenge = self._ask(
            "POST", "/otp/send", {"phone": self.person["identifier"], "purpose": "login"}
        )
        code = challenge and self._read_code()
        if not code:
            return None
        body = {"challengeId": challenge["challengeId"], "code": code, "profile": "mobile"}
        answer = self._ask("POST", "/otp/verify", body)
        return answer and answer["accessToken"]

    def _read_code(self) -> str | None:
        """Wait for the text, as a person does; that is none of the requests that are counted."""
        began = time.perf_counter()
        while time.perf_counter() - began < MOST_POLLS:
            address = f"{orders.url}/_local/sms?phone=%2B{self.person['identifier'][1:]}"
            with urlopen(address) as texts:
                found = CODE.search(texts.read().decode())
            if found:
                self._note("text with a code", began)
                return found[1]
            gevent.sleep(POLL_SECONDS / 4)
        self._note("text with a code", began, "no text")
        return None

    def browse_media(self) -> None:
        self._ask("GET", "/media?pageSize=20", name="/media")

    def list_inbox(self) -> None:
        self._ask("GET", "/notifications?unread=true", name="/notifications")

    def list_lots(self) -> None:
        self._ask("GET", "/stock/lots?pageSize=20", name="/stock/lots")

    def read_profile(self) -> None:
        self._ask("GET", "/auth/me")

    def catch_up(self) -> None:
        query = "&".join(f"{name}={value}" for name, value in self.offset.items())
        found = self._ask("GET", f"/realtime/events?{query}", name="/realtime/events")
        if found:
            self.offset = {"epoch": found["epoch"], "after": found["offset"]}

    def send_photo(self) -> None:
        content = photo + os.urandom(8)  # like no other; what follows a JPEG's end is no harm
        found = self._ask("POST", "/uploads/presign", photo_body(content))
        if found and self._put(found, content, "photo"):
            self._poll(f"/media/{found['mediaId']}", "/media/{id}", {"ready"})

    def send_document(self) -> None:
        content = PDF_HEADER + os.urandom(DOCUMENT_BYTES - len(PDF_HEADER))
        upload = self._ask("POST", "/uploads", document_body(content))
        if not upload:
            return
        chunks = chunks_of(content)
        path, name = f"/uploads/{upload['uploadId']}", "/uploads/{id}"
        signed = self._ask("POST", f"{path}/urls", chunks_body(chunks), name=f"{name}/urls")
        for found, chunk in zip(signed["urls"] if signed else [], chunks, strict=False):
            self._put(found, chunk, "chunk")
        if signed and self._ask("POST", f"{path}/complete", name=f"{name}/complete"):
            self._poll(path, name, {"completed"})

    tasks: ClassVar = {
        browse_media: HOURLY["browse media"],
        list_inbox: HOURLY["read the inbox"],
        list_lots: HOURLY["look at stock"],
        read_profile: HOURLY["open the profile"],
        catch_up: HOURLY["catch up"],
        send_photo: HOURLY["send a photo"],
        send_document: HOURLY["send a document"],
    }

    def _poll(self, path: str, name: str, wanted: set[str]) -> None:
        began = time.perf_counter()
        for _ in range(MOST_POLLS):
            gevent.sleep(POLL_SECONDS)
            found = self._ask("GET", path, name=name)
            if found and found["state"] in wanted:
                self._note(f"{name} until {found['state']}", began)
                return
        self._note(f"{name} until {', '.join(wanted)}", began, "not in time")

    def _put(self, found: dict[str, Any], content: bytes, what: str) -> bool:
        with self.client.request(
            found["method"],
            found["url"],
            name=f"{what} to storage",
            headers=found["headers"],
            data=content,
            catch_response=True,
        ) as answer:
            return bool(answer.ok)

    def _ask(self, method: str, path: str, body: Any = None, name: str | None = None) -> Any:
        """Return the `data` of the answer; None when it was no success, which is counted."""
        headers = dict(self.headers)
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        with self.client.request(
            method,
            f"{orders.url}/api/v1{path}",
            name=name or path,
            headers=headers,
            json=body,
            catch_response=True,
        ) as answer:
            if not answer.ok or not answer.status_code:
                what = answer.error or (answer.text or "")[:200]
                answer.failure(f"{answer.status_code} {what}")
                return None
            return answer.json().get("data") or {}

    def _listen(self, token: str) -> None:
        """Hold a connection open until the agent stops: pings, and whatever else comes."""
        began = time.perf_counter()
        headers = {"Authorization": f"Bearer {token}"}
        try:
            socket = websocket.create_connection(
                orders.realtime_url, header=headers, timeout=30, enable_multithread=False
            )
            socket.send('{"action":"getConnectionId"}')
            self._hear(socket, "connectionId")
            self._note("connected", began)
            while True:
                gevent.sleep(PING_SECONDS * random.uniform(0.9, 1.1))
                began = time.perf_counter()
                socket.send('{"action":"ping"}')
                self._hear(socket, "pong")
                self._note("ping", began)
        except (OSError, websocket.WebSocketException) as error:
            self._note("connection", began, repr(error))

    def _hear(self, socket: Any, kind: str) -> None:
        while json.loads(socket.recv())["type"] != kind:
            pass

    def _note(self, name: str, began: float, failure: str | None = None) -> None:
        waits.log_request("", name, (time.perf_counter() - began) * 1000, 0)
        if failure:
            waits.log_error("", name, failure)


def main() -> int:
    locust.log.setup_logging("WARNING")
    environment = Environment(user_classes=[FieldAgent], stop_timeout=5)
    runner = environment.create_local_runner()
    runner.start(orders.users, spawn_rate=min(orders.users, 50))
    began = time.perf_counter()
    while len(begun) < orders.users and time.perf_counter() - began < MOST_BEGIN_SECONDS:
        gevent.sleep(0.1)
    gevent.sleep(orders.seconds)
    seconds = time.perf_counter() - began
    # Before they stop: what is under way then is no error.
    stats = environment.stats
    found = [
        {
            "name": f"{entry.method or ''} {entry.name}".strip(),
            "requests": entry.num_requests,
            "failures": entry.num_failures,
            **{
                f"p{percent}": entry.get_response_time_percentile(percent / 100)
                for percent in (50, 95, 99)
            },
        }
        for entry in [*stats.entries.values(), *waits.entries.values(), stats.total]
    ]
    failed = [*stats.errors.values(), *waits.errors.values()]
    errors = [f"{error.occurrences} x {error.to_name()}" for error in failed]
    runner.quit()
    print(json.dumps({"seconds": seconds, "entries": found, "errors": errors}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
