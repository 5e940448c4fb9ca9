"""The migrating function: as a step of a deployment, and invoked by hand."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError

import pytest

from operations.migrate import handler
from tests.conftest import run_sql
from tests.support.log import Log

HEAD = "0008"


@dataclass
class CloudFormation:
    """What waits for a custom resource's answer; `status` is what it says to one."""

    url: str
    status: int = 200
    answers: list[dict[str, Any]] = field(default_factory=list)
    content_types: list[str | None] = field(default_factory=list)

    def event(self, request: str) -> dict[str, Any]:
        """Return the event of a resource's Create, Update or Delete."""
        event = {
            "RequestType": request,
            "ResponseURL": f"{self.url}?X-Amz-Signature=0123456789abcdef",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/fieldgate/1",
            "RequestId": "9d7f2f6e",
            "ResourceType": "Custom::Schema",
            "LogicalResourceId": "Schema",
            "ResourceProperties": {"ServiceToken": "arn", "CommitSha": "abc"},
        }
        return event if request == "Create" else event | {"PhysicalResourceId": "schema"}


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    class Receiver(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            waiting.answers.append(json.loads(body))
            waiting.content_types.append(self.headers["Content-Type"])
            self.send_response(waiting.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        waiting = CloudFormation(f"http://127.0.0.1:{server.server_address[1]}/answer")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield waiting
        server.shutdown()
        thread.join()


@pytest.fixture
def unmigrated(environment: pytest.MonkeyPatch, empty_database_url: str) -> str:
    environment.setenv("DATABASE_URL", empty_database_url)
    return empty_database_url


def tables(url: str) -> set[object]:
    rows = run_sql(url, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in rows}


def test_creating_the_resource_migrates_and_says_so(
    cloudformation: CloudFormation, unmigrated: str
) -> None:
    assert handler(cloudformation.event("Create"), None) == {}

    assert "users" in tables(unmigrated)
    assert cloudformation.answers == [
        {
            "Status": "SUCCESS",
            "Reason": "",
            "PhysicalResourceId": "schema",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/fieldgate/1",
            "RequestId": "9d7f2f6e",
            "LogicalResourceId": "Schema",
            "Data": {"from_revision": "None", "to_revision": HEAD},
        }
    ]
    # The address is signed for a request without one.
    assert cloudformation.content_types == [""]


def test_updating_it_with_nothing_to_do_succeeds(
    cloudformation: CloudFormation, environment: pytest.MonkeyPatch, database_url: str
) -> None:
    environment.setenv("DATABASE_URL", database_url)
    handler(cloudformation.event("Update"), None)

    (answer,) = cloudformation.answers
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == "schema"
    assert (answer["Data"]["from_revision"], answer["Data"]["to_revision"]) == (HEAD, HEAD)


def test_deleting_it_touches_nothing_and_asks_no_database(
    cloudformation: CloudFormation, environment: pytest.MonkeyPatch
) -> None:
    handler(cloudformation.event("Delete"), None)

    (answer,) = cloudformation.answers
    assert (answer["Status"], answer["Data"]) == ("SUCCESS", {})


def test_switched_off_it_migrates_nothing_and_the_deployment_goes_on(
    cloudformation: CloudFormation, environment: pytest.MonkeyPatch, unmigrated: str
) -> None:
    environment.setenv("RUN_MIGRATIONS", "false")
    handler(cloudformation.event("Create"), None)

    (answer,) = cloudformation.answers
    assert (answer["Status"], answer["Data"]["skipped"]) == ("SUCCESS", "true")
    assert tables(unmigrated) == set()

    assert handler({}, None) == {"from_revision": None, "to_revision": HEAD}
    assert "users" in tables(unmigrated)


@pytest.mark.parametrize(
    "url", ["hunter2", "postgresql://app:hunter2@/x", "{database}_absent?password=hunter2"]
)
def test_a_failure_is_reported_without_its_secrets(
    cloudformation: CloudFormation,
    environment: pytest.MonkeyPatch,
    empty_database_url: str,
    log: Log,
    url: str,
) -> None:
    environment.setenv("DATABASE_URL", url.format(database=empty_database_url))
    handler(cloudformation.event("Create"), None)

    (answer,) = cloudformation.answers
    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"] == "schema"
    assert answer["Reason"].endswith("see the function's log")
    (line,) = log.said("deployment step failed")
    assert line["exception"]
    for said in (json.dumps(answer), log.text):
        assert "hunter2" not in said
        assert "0123456789abcdef" not in said


def test_a_broken_migration_is_reported_and_leaves_nothing(
    cloudformation: CloudFormation, unmigrated: str
) -> None:
    run_sql(unmigrated, "CREATE TABLE users (mine int)")
    handler(cloudformation.event("Create"), None)

    (answer,) = cloudformation.answers
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == "ProgrammingError: see the function's log"
    assert tables(unmigrated) == {"users"}


def test_an_answer_that_is_not_taken_is_an_error_so_that_lambda_tries_again(
    cloudformation: CloudFormation, environment: pytest.MonkeyPatch
) -> None:
    cloudformation.status = 403

    with pytest.raises(HTTPError) as refusal:
        handler(cloudformation.event("Delete"), None)
    refusal.value.close()


def test_invoked_by_hand_it_migrates_and_returns_what_it_did(unmigrated: str) -> None:
    assert handler({}, None) == {"from_revision": None, "to_revision": HEAD}
    assert handler({}, None) == {"from_revision": HEAD, "to_revision": HEAD}
    assert "users" in tables(unmigrated)


def test_invoked_by_hand_a_failure_is_the_callers_to_see(environment: pytest.MonkeyPatch) -> None:
    from fieldgate.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="DATABASE_URL is not set"):
        handler({}, None)
