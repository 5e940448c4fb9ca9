"""What monitors and phones ask that needs no database."""

import pytest

from health import generate_204, get_version
from tests.support.gateway import call
from tests.support.log import Log


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_generate_204_is_empty_and_never_cached(log: Log, method: str) -> None:
    answer = call(generate_204.handler, method, "/generate_204")

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers


def test_generate_204_needs_no_setting_at_all(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JWT_ISSUER", "JWT_AUDIENCE", "JWT_PUBLIC_KEYS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    assert call(generate_204.handler, "GET", "/generate_204").status == 204


def test_the_version_says_bare_what_is_deployed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("APP_VERSION", "1.2.3")
    environment.setenv("ENVIRONMENT", "staging")
    environment.setenv("BUILD_DATE", "2026-01-10")
    environment.setenv("COMMIT_SHA", "abc123")

    answer = call(get_version.handler, "GET", "/health/version")

    assert answer.status == 200
    assert answer.json() == {
        "status": "Healthy",
        "version": "1.2.3",
        "environment": "staging",
        "buildDate": "2026-01-10",
        "commitSha": "abc123",
    }


def test_the_version_answers_also_where_the_build_told_it_nothing(
    environment: pytest.MonkeyPatch,
) -> None:
    for name in ("APP_VERSION", "ENVIRONMENT", "BUILD_DATE", "COMMIT_SHA"):
        environment.delenv(name, raising=False)

    answer = call(get_version.handler, "GET", "/health/version")

    assert answer.json()["environment"] == "unknown"
    assert answer.json()["version"] == "0.0.0"
