"""The command line where it needs no server: arguments, addresses, a memory that can't be used."""

import getpass
import io
import os
import socket
import sys
from pathlib import Path

import pytest

from fieldgate_client import cli
from fieldgate_client.assembled import ExitCode
from fieldgate_client.database import Database, default_path
from fieldgate_client.tokens import TokenStore
from tests.client.fake_api import TOKENS
from tests.client.portal import NO_CONTENT, REDIRECT, portal_in_a_thread


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FIELDGATE_URL", raising=False)
    monkeypatch.setenv("FIELDGATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def nowhere() -> str:
    """An address of this machine where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == ExitCode.WRONG_ARGUMENTS
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "server",
    ["http://api.example.org", "http://192.0.2.1:8080", "http://localhost.example.org"],
)
def test_plain_http_is_for_this_machine_only(
    capsys: pytest.CaptureFixture[str], server: str
) -> None:
    said = usage_error(capsys, "status", "--server", server)

    assert "would show passwords, tokens and files to everybody" in said


@pytest.mark.parametrize(
    "server",
    ["api.example.org", "ftp://api.example.org", "https://", "http://[::1", "https://a:port", ""],
)
def test_what_is_no_address(capsys: pytest.CaptureFixture[str], server: str) -> None:
    assert "is no address of a server" in usage_error(capsys, "--server", server, "status")


@pytest.mark.parametrize(
    "server", ["https://me:secret@api.example.org", "https://api.example.org?key=secret"]
)
def test_a_secret_in_an_address_is_not_repeated(
    capsys: pytest.CaptureFixture[str], server: str
) -> None:
    assert "secret" not in usage_error(capsys, "--server", server, "status")


def test_plain_http_elsewhere_has_to_be_asked_for() -> None:
    assert cli.problem("http://192.0.2.1:8080", allow_http=False)
    assert cli.problem("http://192.0.2.1:8080", allow_http=True) is None


@pytest.mark.parametrize(
    "server",
    ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080", "https://api.example.org/x"],
)
def test_addresses_that_will_do(server: str) -> None:
    assert cli.problem(server, allow_http=False) is None


def test_what_was_said_goes_before_the_environment_and_that_before_the_defaults() -> None:
    reader = cli.parser({"FIELDGATE_URL": "https://one.example.org", "FIELDGATE_HOME": "/one"})
    told = reader.parse_args(["status"])
    assert (told.server, told.home) == ("https://one.example.org", Path("/one"))

    for arguments in (
        ["--server", "https://two.example.org", "--home", "/two", "status"],
        ["status", "--server", "https://two.example.org", "--home", "/two"],
    ):
        told = reader.parse_args(arguments)
        assert (told.server, told.home) == ("https://two.example.org", Path("/two"))
        assert told.allow_http is False

    told = cli.parser({}).parse_args(["--allow-http", "status"])
    assert (told.server, told.home) == ("http://127.0.0.1:8080", default_path().parent)
    assert told.allow_http is True


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])

    assert "0 done, 1 refused, 2 wrong arguments, 3 signed out" in capsys.readouterr().out


def test_a_folder_that_the_server_would_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert "invalid choice" in usage_error(capsys, "upload", "--folder", "../secrets", "a.pdf")


def test_a_name_that_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a name in UTF-8" in usage_error(capsys, "upload", os.fsdecode(b"\xff.pdf"))


def test_a_memory_that_cannot_be_made(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    home.write_text("a file, not a folder")

    assert cli.main(["status"]) == ExitCode.REFUSED
    assert f"The folder {home} can't be used" in capsys.readouterr().err


def test_a_memory_that_is_something_else(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    home.mkdir()
    (home / "client.db").write_text("this is no database" * 100)

    assert cli.main(["status"]) == ExitCode.REFUSED
    assert "can't be used: file is not a database" in capsys.readouterr().err


def test_a_server_that_is_not_there(
    capsys: pytest.CaptureFixture[str], nowhere: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["--server", nowhere, "status"]) == ExitCode.DONE
    assert "Network    offline" in capsys.readouterr().out
    monkeypatch.setattr("fieldgate_client.policy.Backoff.pause", lambda *_: 0.0)
    assert cli.main(["--server", nowhere, "login", "--code", "0711000009"]) == ExitCode.NO_NETWORK
    assert f"{nowhere} can't be reached" in capsys.readouterr().err


def test_tokens_stay_in_a_folder_that_nobody_else_can_look_into(nowhere: str, home: Path) -> None:
    cli.main(["--server", nowhere, "status"])

    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "client.db").stat().st_mode & 0o777 == 0o600


def test_behind_a_captive_portal_files_are_kept(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "leaf.pdf"
    path.write_bytes(b"%PDF-")
    with portal_in_a_thread(REDIRECT, REDIRECT) as captive:
        signed_in_at(captive.url, home)

        assert cli.main(["--server", captive.url, "upload", str(path)]) == ExitCode.NO_NETWORK
        said = capsys.readouterr().out
        assert "login page" in said
        assert "large uploads" not in said
        assert cli.main(["--server", captive.url, "status"]) == ExitCode.DONE
        assert "0% there" in capsys.readouterr().out
        assert [asked for asked in captive.asked if "generate_204" not in asked] == []


def test_status_is_told_also_where_the_server_does_not_say_who_is_signed_in(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldgate_client.policy.Backoff.pause", lambda *_: 0.0)
    with portal_in_a_thread(NO_CONTENT, REDIRECT) as strange:
        signed_in_at(strange.url, home)

        assert cli.main(["--server", strange.url, "status"]) == ExitCode.DONE
        said = capsys.readouterr().out
        assert f"Signed in  {TOKENS.user_id}" in said
        assert "Queue      0 to send" in said


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_ctrl_c_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Keyboard())
    monkeypatch.setattr(getpass, "getpass", pressed)

    assert cli.main(["--server", nowhere, "login", "0711000009"]) == ExitCode.STOPPED
    assert capsys.readouterr().err == "Stopped.\n"


def test_a_password_may_come_through_a_pipe(
    capsys: pytest.CaptureFixture[str], nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldgate_client.policy.Backoff.pause", lambda *_: 0.0)
    monkeypatch.setattr(sys, "stdin", io.StringIO("maize & beans\n"))

    assert cli.main(["--server", nowhere, "login", "0711000009"]) == ExitCode.NO_NETWORK
    assert capsys.readouterr().err == f"{nowhere} can't be reached: no connection\n"


def test_an_empty_pipe_is_nobody_who_answers(
    capsys: pytest.CaptureFixture[str], nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    assert cli.main(["--server", nowhere, "login", "0711000009"]) == ExitCode.REFUSED
    assert "nobody to answer" in capsys.readouterr().err


def signed_in_at(server: str, home: Path) -> None:
    with Database(home / "client.db") as database:
        TokenStore(database).save(server, TOKENS)
