"""What the authorizer makes of a good token: the session, the user and their rights of now."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert, text, update
from valkey import Valkey

from fieldgate import cache
from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import role_permissions, user_roles, users
from fieldgate.db.tables.sessions import sessions
from fieldgate.db.url import parse_url
from fieldgate.tokens import Subject, issue, verify
from identity import administering, session_store, signing_out
from local.template import ROOT
from local.valkey import ValkeyServer
from tests.support.database import count_statements
from tests.support.gateway import authorized
from tests.support.people import Person, Phone, begin_session, register
from tests.support.ports import free_port

GROWER = Person("", None)
BOSS = Person("", None, phone="+254711000008", email=None, roles=("admin",))


@pytest.fixture
def boss(live_database: Database) -> dict[str, UUID]:
    session_id = begin_session(live_database, register(live_database, BOSS)).session_id
    return {"actor": BOSS.id, "session_id": session_id}


@pytest.fixture
def phone(live_database: Database) -> Phone:
    return begin_session(live_database, register(live_database, GROWER))


@pytest.fixture(params=["valkey", "no valkey"])
def caching(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> str:
    """Once with a cache that all share, once with what each process keeps."""
    if request.param == "no valkey":
        environment.delenv("CACHE_URL")
    return str(request.param)


def change(database: Database, statement: Any) -> None:
    database.transact(lambda connection: connection.execute(statement))


@pytest.fixture
def let_pass(
    monkeypatch: pytest.MonkeyPatch, valkey: ValkeyServer
) -> Iterator[Callable[[int], None]]:
    """Let seconds pass for what caches keep."""

    ahead = 0

    def let_pass(seconds: int) -> None:
        nonlocal ahead
        ahead += seconds
        clock = SimpleNamespace(time=lambda: time.time() + ahead, monotonic=time.monotonic)
        monkeypatch.setattr(cache, "time", clock)
        for key in client.scan_iter():
            client.pexpire(key, client.pttl(key) - seconds * 1000)

    with Valkey.from_url(valkey.url, decode_responses=True) as client:
        yield let_pass


@pytest.mark.usefixtures("caching")
def test_a_token_of_a_living_session_is_let_in_with_what_it_says(phone: Phone) -> None:
    for _ in range(3):
        claims = phone.context()["claims"]
        assert claims == verify(phone.access_token)


@pytest.mark.usefixtures("caching")
def test_the_database_is_asked_once_and_then_the_cache(
    live_database: Database, phone: Phone
) -> None:
    with count_statements(live_database) as traffic:
        phone.context()
    assert (traffic.round_trips, traffic.commits) == (1, 0)

    with count_statements(live_database) as traffic:
        assert phone.context()["claims"]
    assert traffic.round_trips == 0


def test_what_is_in_the_cache_needs_no_database_to_be_imported(
    phone: Phone, environment: pytest.MonkeyPatch
) -> None:
    phone.context()
    program = (
        "import sys\n"
        "from identity import authorize\n"
        f"event = {{'headers': {{'authorization': 'Bearer {phone.access_token}'}}}}\n"
        "assert 'claims' in authorize.handler(event, None)['context']\n"
        "assert not {'sqlalchemy', 'pg8000', 'fastapi'} & set(sys.modules)\n"
    )
    path = f"{ROOT}/functions:{ROOT}/layers/common"
    environment.setenv("PYTHONPATH", path)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.usefixtures("caching")
@pytest.mark.parametrize("everywhere", [False, True])
def test_after_logout_the_next_request_is_refused(
    live_database: Database, phone: Phone, everywhere: bool
) -> None:
    assert not phone.is_refused

    signing_out.sign_out(live_database, GROWER.id, None if everywhere else phone.session_id)

    assert phone.is_refused


@pytest.mark.usefixtures("caching")
def test_who_is_blocked_is_refused_at_once_and_signs_in_anew_when_let_in(
    live_database: Database, phone: Phone, boss: dict[str, UUID]
) -> None:
    assert not phone.is_refused

    administering.set_status(live_database, GROWER.id, "blocked", **boss)
    assert phone.is_refused

    administering.set_status(live_database, GROWER.id, "active", **boss)
    assert phone.is_refused
    assert not begin_session(live_database, GROWER).is_refused


@pytest.mark.usefixtures("caching")
def test_a_new_role_is_in_force_at_once_with_the_old_token(
    live_database: Database, phone: Phone, boss: dict[str, UUID]
) -> None:
    assert phone.context()["claims"]["roles"] == ["agent"]

    roles = ["farmer", "warehouse_manager"]
    administering.set_roles(live_database, GROWER.id, [*roles, "admin"], **boss)
    claims = phone.context()["claims"]
    assert claims["roles"] == ["admin", *roles]
    assert "users:write" in claims["permissions"]

    administering.set_roles(live_database, GROWER.id, [], **boss)
    claims = phone.context()["claims"]
    assert (claims["roles"], claims["permissions"]) == ([], [])


END_SESSIONS = update(sessions).values(ended_at=text("now()"), end_reason="by hand")


@pytest.mark.usefixtures("caching")
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(END_SESSIONS, id="ended"),
        pytest.param(update(sessions).values(expires_at=text("now()")), id="expired"),
        pytest.param(delete(sessions), id="session deleted"),
        pytest.param(update(users).values(status="blocked"), id="blocked"),
        pytest.param(update(users).values(status="pending"), id="pending"),
        pytest.param(delete(users).where(users.c.id == GROWER.id), id="user deleted"),
    ],
)
def test_what_is_changed_past_us_is_seen_half_a_minute_later(
    live_database: Database, phone: Phone, let_pass: Callable[[int], None], statement: Any
) -> None:
    assert not phone.is_refused
    change(live_database, statement)

    let_pass(31)

    assert phone.is_refused
    assert phone.is_refused


@pytest.mark.usefixtures("caching")
@pytest.mark.parametrize(
    ("statement", "right"),
    [
        (insert(user_roles).values(user_id=GROWER.id, role="admin"), "users:write"),
        (insert(role_permissions).values(role="agent", permission="users:read"), "users:read"),
    ],
)
def test_rights_that_are_given_past_us_are_seen_half_a_minute_later(
    live_database: Database,
    phone: Phone,
    let_pass: Callable[[int], None],
    statement: Any,
    right: str,
) -> None:
    assert right not in phone.context()["claims"]["permissions"]
    change(live_database, statement)

    let_pass(31)

    for _ in range(2):
        assert right in phone.context()["claims"]["permissions"]


def test_rights_that_changed_are_kept_for_ten_minutes_by_their_version(
    live_database: Database, phone: Phone, boss: dict[str, UUID], valkey: ValkeyServer
) -> None:
    administering.set_roles(live_database, GROWER.id, ["farmer"], **boss)
    phone.context()
    version = verify(phone.access_token)["pv"] + 1

    with Valkey.from_url(valkey.url, decode_responses=True) as client:
        (key,) = client.keys(f"permissions:*:{GROWER.id}:{version}")
        assert 590 < client.ttl(key) <= 600
        assert "farmer" in client.get(key)
    with count_statements(live_database) as traffic:
        assert phone.context()["claims"]["roles"] == ["farmer"]
    assert traffic.round_trips == 0


def test_a_token_newer_than_the_cache_means_what_it_says(
    live_database: Database, phone: Phone
) -> None:
    phone.context()
    change(live_database, insert(user_roles).values(user_id=GROWER.id, role="admin"))

    newer = begin_session(live_database, GROWER)

    # The user is known to the cache, by the version before; the session is not.
    assert newer.context()["claims"]["roles"] == ["admin", "agent"]
    assert newer.context()["claims"]["roles"] == ["admin", "agent"]


def test_a_look_that_raced_with_a_logout_does_not_undo_it(
    live_database: Database, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = session_store.find_with_session

    def find_then_sign_out(*of_whom: Any) -> Any:
        """Look, and have the session ended before what was found is remembered."""
        found = find(*of_whom)
        monkeypatch.setattr(session_store, "find_with_session", find)
        other = Database(live_database._address)
        signing_out.sign_out(other, GROWER.id, phone.session_id)
        other.close()
        return found

    monkeypatch.setattr(session_store, "find_with_session", find_then_sign_out)
    assert not phone.is_refused  # it was let by when it was asked about

    assert phone.is_refused


@pytest.mark.usefixtures("boss")
def test_a_session_of_somebody_else_is_no_session(phone: Phone) -> None:
    stranger = Subject(BOSS.id, ["admin"], ["users:write"], 9, phone.session_id)

    assert authorized(f"Bearer {issue(stranger).text}") == {"failure": "UNAUTHORIZED"}


def test_who_was_never_there_is_refused(live_database: Database) -> None:
    nobody = Subject(uuid4(), ["admin"], ["users:write"], 1, uuid4())

    for _ in range(2):
        assert authorized(f"Bearer {issue(nobody).text}") == {"failure": "UNAUTHORIZED"}


def test_one_session_ends_and_the_other_goes_on(live_database: Database, phone: Phone) -> None:
    other = begin_session(live_database, GROWER)

    signing_out.sign_out(live_database, GROWER.id, phone.session_id)

    assert phone.is_refused
    assert not other.is_refused


def test_a_bad_token_asks_neither_cache_nor_database(
    live_database: Database, phone: Phone, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr(cache, "get_many", None)
    with count_statements(live_database) as traffic:
        assert authorized(f"Bearer {phone.access_token}x") == {"failure": "UNAUTHORIZED"}
    assert traffic.round_trips == 0


@pytest.mark.usefixtures("caching")
def test_with_the_database_down_it_goes_on_by_the_cache_and_then_says_so(
    live_database: Database,
    phone: Phone,
    environment: pytest.MonkeyPatch,
    let_pass: Callable[[int], None],
) -> None:
    phone.context()
    live_database.close()
    nowhere = f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x"
    environment.setenv("DATABASE_URL", nowhere)
    environment.setattr(live_database, "_address", lambda: parse_url(nowhere, "the test"))

    assert "claims" in phone.context()

    let_pass(31)
    assert phone.context() == {"failure": "UNAVAILABLE"}


def test_with_the_cache_down_the_database_is_asked(
    live_database: Database, phone: Phone, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CACHE_URL", f"redis://127.0.0.1:{free_port()}/0")

    assert "claims" in phone.context()
    signing_out.sign_out(live_database, GROWER.id, phone.session_id)
    assert phone.is_refused


def test_with_both_down_nobody_can_tell(phone: Phone, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CACHE_URL", f"redis://127.0.0.1:{free_port()}/0")
    engine.database().close()
    nowhere = f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x"
    environment.setattr(engine.database(), "_address", lambda: parse_url(nowhere, "the test"))

    assert phone.context() == {"failure": "UNAVAILABLE"}
