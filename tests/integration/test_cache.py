"""What is kept in Valkey, and what happens when there is none: nobody waits and nobody fails."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from valkey import Valkey

from fieldgate import cache, settings
from local.valkey import ValkeyServer, start_valkey
from tests.integration.db.test_engine_tls import make_certificate
from tests.support.clock import Clock
from tests.support.log import Log
from tests.support.ports import free_port

DOWN = "cache does not answer; going without"


@pytest.fixture(autouse=True)
def deployed(environment: pytest.MonkeyPatch) -> None:
    """The surroundings of a deployed function, with an empty Valkey."""


@pytest.fixture
def clock(environment: pytest.MonkeyPatch) -> Clock:
    return Clock.instead_of_time_in(cache, environment)


@pytest.fixture
def without_valkey(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("CACHE_URL")


def server(valkey: ValkeyServer) -> Any:
    return Valkey.from_url(valkey.url, decode_responses=True)


# With Valkey


def test_what_is_set_is_found_and_nothing_else() -> None:
    cache.set_many({"a": "1", "b": "\N{SNOWMAN} \r\n"}, 30)

    assert cache.get_many(["a", "b", "c"]) == {"a": "1", "b": "\N{SNOWMAN} \r\n"}


@pytest.mark.parametrize("where", ["valkey", "this process"])
def test_what_is_there_stays_for_who_asks_so(where: str, environment: pytest.MonkeyPatch) -> None:
    if where == "this process":
        environment.delenv("CACHE_URL")
    cache.set_many({"a": "1"}, 30)

    cache.set_many({"a": "2", "b": "2"}, 30, only_new=True)

    assert cache.get_many(["a", "b"]) == {"a": "1", "b": "2"}


def test_what_is_deleted_is_gone() -> None:
    cache.set_many({"a": "1", "b": "2"}, 30)
    cache.delete("a", "never set")

    assert cache.get_many(["a", "b"]) == {"b": "2"}


def test_it_is_kept_in_valkey_for_as_long_as_told(valkey: ValkeyServer) -> None:
    cache.set_many({"a": "1"}, 600)

    with server(valkey) as there:
        assert (there.get("a"), 590 < there.ttl("a") <= 600) == ("1", True)


def test_nothing_asked_is_nothing_sent(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CACHE_URL", f"redis://127.0.0.1:{free_port()}")

    assert cache.get_many([]) == {}
    cache.set_many({}, 30)
    cache.delete()


def test_the_older_name_of_the_setting_is_good(
    environment: pytest.MonkeyPatch, valkey: ValkeyServer
) -> None:
    environment.delenv("CACHE_URL")
    environment.setenv("REDIS_URL", f" {valkey.url}\n")
    cache.set_many({"a": "1"}, 30)

    with server(valkey) as there:
        assert there.get("a") == "1"


def test_a_connection_that_was_long_silent_is_not_trusted(
    valkey: ValkeyServer, clock: Clock
) -> None:
    with server(valkey) as there:

        def connections() -> int:
            return int(there.info("stats")["total_connections_received"])

        cache.set_many({"a": "1"}, 30)
        before = connections()
        clock.now += cache.IDLE_SECONDS
        cache.get_many(["a"])
        assert connections() == before
        clock.now += cache.IDLE_SECONDS + 1
        cache.get_many(["a"])
        assert connections() == before + 1


# Without


def test_without_valkey_values_are_kept_in_the_process(without_valkey: None, log: Log) -> None:
    cache.set_many({"a": "1", "b": "2"}, 30)
    cache.delete("b", "never set")

    assert cache.get_many(["a", "b"]) == {"a": "1"}
    assert log.text == ""


def test_in_the_process_nothing_outlives_half_a_minute(without_valkey: None, clock: Clock) -> None:
    cache.set_many({"short": "1"}, 10)
    cache.set_many({"long": "2"}, 600)
    clock.now += 9.9
    assert cache.get_many(["short", "long"]) == {"short": "1", "long": "2"}
    clock.now += 20
    assert cache.get_many(["short", "long"]) == {"long": "2"}
    clock.now += 0.1
    assert cache.get_many(["short", "long"]) == {}


def test_in_the_process_the_oldest_make_room(without_valkey: None) -> None:
    cache.set_many({"first": "1", "second": "2"}, 30)
    cache.set_many({"first": "3"}, 30)
    cache.set_many({str(number): "x" for number in range(cache.LOCAL_ENTRIES - 1)}, 30)

    assert cache.get_many(["first", "second"]) == {"first": "3"}


def test_a_script_needs_valkey(without_valkey: None) -> None:
    assert cache.evaluate("return 7", "key") is None


# When it breaks


@pytest.fixture
def own_valkey(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that the test may stop; on its port another may be started."""
    with start_valkey(tmp_path, free_port()) as server:
        environment.setenv("CACHE_URL", server.url)
        yield server


def port_of(server: ValkeyServer) -> int:
    return int(server.url.rpartition(":")[2].partition("/")[0])


def test_it_goes_down_and_comes_back(
    own_valkey: ValkeyServer, tmp_path: Path, clock: Clock, log: Log
) -> None:
    cache.set_many({"a": "there"}, 600)
    own_valkey.stop()
    assert cache.get_many(["a"]) == {}
    cache.set_many({"a": "here"}, 600)
    assert cache.get_many(["a"]) == {"a": "here"}
    clock.now += cache.REST_SECONDS
    assert cache.get_many(["a"]) == {"a": "here"}
    assert [line["level"] for line in log.said(DOWN)] == ["WARNING"], "one for all of it"

    with start_valkey(tmp_path, port_of(own_valkey)) as again:
        assert cache.get_many(["a"]) == {"a": "here"}, "it was not asked again yet"
        clock.now += cache.REST_SECONDS
        assert cache.get_many(["a"]) == {}
        cache.set_many({"a": "there again"}, 600)
        with server(again) as there:
            assert there.get("a") == "there again"
    assert len(log.said("cache is back")) == 1


def test_started_anew_between_two_uses_it_is_not_missed(
    own_valkey: ValkeyServer, tmp_path: Path, log: Log
) -> None:
    cache.set_many({"a": "1"}, 600)
    own_valkey.stop()
    with start_valkey(tmp_path, port_of(own_valkey)) as again:
        cache.set_many({"a": "2"}, 600)
        with server(again) as there:
            assert there.get("a") == "2"
    assert log.text == ""


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_server_that_hangs_is_waited_for_once(environment: pytest.MonkeyPatch, log: Log) -> None:
    environment.delenv("CACHE_ANSWER_SECONDS")
    with silent_server() as port:
        environment.setenv("CACHE_URL", f"redis://127.0.0.1:{port}")
        began = time.monotonic()
        assert cache.get_many(["a"]) == {}
        waited = time.monotonic()
        for _ in range(100):
            assert cache.get_many(["a"]) == {}
        ended = time.monotonic()

    assert waited - began < 1
    assert ended - waited < 0.25, "less than one more wait for a hundred more questions"
    assert len(log.said(DOWN)) == 1


@pytest.mark.parametrize(
    "url", ["hunter2", "ftp://hunter2@127.0.0.1", "redis://:pass@127.0.0.1:hunter2/0"]
)
def test_a_setting_that_is_no_address_is_none_and_not_shown(
    environment: pytest.MonkeyPatch, log: Log, url: str
) -> None:
    environment.setenv("CACHE_URL", url)
    cache.set_many({"a": "1"}, 30)

    assert cache.get_many(["a"]) == {"a": "1"}
    assert len(log.said(DOWN)) == 1
    assert "hunter2" not in log.text


def test_a_changed_password_is_taken_up(
    own_valkey: ValkeyServer, environment: pytest.MonkeyPatch, clock: Clock, log: Log
) -> None:
    cache.set_many({"a": "1"}, 600)
    with server(own_valkey) as there:
        there.config_set("requirepass", "hunter2")
        there.client_kill_filter(_type="normal", skipme=True)
    assert cache.get_many(["a"]) == {}
    environment.setenv("CACHE_URL", own_valkey.url.replace("//", "//:hunter2@"))
    clock.now += cache.REST_SECONDS

    assert cache.get_many(["a"]) == {"a": "1"}
    assert "hunter2" not in log.text


def test_what_the_server_refuses_is_as_if_it_were_not_there(
    own_valkey: ValkeyServer, log: Log
) -> None:
    with server(own_valkey) as there:
        there.config_set("maxmemory", "1")
    cache.set_many({"a": "1"}, 30)

    assert cache.get_many(["a"]) == {"a": "1"}
    assert cache.evaluate("return 7", "a") is None
    assert len(log.said(DOWN)) == 1


# TLS


@contextmanager
def tls_server(directory: Path, name: str) -> Iterator[tuple[str, str, list[bytes]]]:
    """A server that answers whatever it is told inside TLS with `yes`.

    Yields its URL, the path of its certificate, and what it was told.
    """
    certificate, key = make_certificate(name)
    pem = directory / "server.pem"
    pem.write_bytes(certificate + key)
    (directory / "authority.pem").write_bytes(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    told: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with (
                    suppress(OSError),
                    connection,
                    context.wrap_socket(connection, server_side=True) as secured,
                ):
                    told.append(secured.recv(4096))
                    secured.sendall(b"$3\r\nyes\r\n")
                    secured.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield f"rediss://localhost:{port}", str(directory / "authority.pem"), told
    finally:
        settings.forget()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_tls_is_spoken_with_who_we_trust(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with tls_server(tmp_path, "localhost") as (url, authority, told):
        environment.setenv("CACHE_URL", url)
        environment.setenv("CACHE_CA_CERT", authority)
        assert cache.get_many(["a"]) == {"a": "yes"}
    assert told == [b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"], "and nothing before it"


def test_the_authority_may_be_text(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with tls_server(tmp_path, "localhost") as (url, authority, _):
        environment.setenv("CACHE_URL", url)
        environment.setenv("CACHE_CA_CERT", Path(authority).read_text())
        assert cache.get_many(["a"]) == {"a": "yes"}


@pytest.mark.parametrize("name", ["localhost", "other.example.org"])
@pytest.mark.parametrize(
    ("scheme", "query"),
    [("rediss", ""), ("REDISS", ""), ("rediss", "?ssl_cert_reqs=none&ssl_check_hostname=false")],
)
def test_nobody_else_hears_a_word(
    environment: pytest.MonkeyPatch, tmp_path: Path, log: Log, name: str, scheme: str, query: str
) -> None:
    with tls_server(tmp_path, name) as (url, authority, told):
        address = url.removeprefix("rediss://")
        environment.setenv("CACHE_URL", f"{scheme}://:hunter2@{address}{query}")
        if name != "localhost":
            environment.setenv("CACHE_CA_CERT", authority)
        assert cache.get_many(["a"]) == {}
    assert told == []
    assert len(log.said(DOWN)) == 1
