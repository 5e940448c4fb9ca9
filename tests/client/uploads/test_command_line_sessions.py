"""Signing in and out with `fieldgate`, against the real functions."""

import builtins

import pytest

from fieldgate_client.assembled import ExitCode
from tests.client.uploads.terminal import GROWER, PASSWORD, Ran, Terminal, ask, no_network
from tests.support.one_time_codes import code_of, rows
from tests.support.phone import Field


def test_sign_in_by_password(terminal: Terminal) -> None:
    terminal.answers = [PASSWORD]

    assert terminal.type("login", str(GROWER.phone)) == Ran(
        ExitCode.DONE, "Signed in as Grower One, +254711000009.\n", ""
    )


def test_a_wrong_password_is_said_plainly(terminal: Terminal) -> None:
    terminal.answers = ["another"]

    ran = terminal.type("login", str(GROWER.phone))

    assert (ran.code, ran.out) == (ExitCode.REFUSED, "")
    assert "INVALID_CREDENTIALS" in ran.err


def test_sign_in_by_a_code_that_is_texted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "input", lambda: code_that_was_texted(terminal.place))

    ran = terminal.type("login", "--code", str(GROWER.phone))

    assert (ran.code, ran.err) == (ExitCode.DONE, "")
    assert ran.out.endswith("Signed in as Grower One, +254711000009.\n")


def code_that_was_texted(field: Field) -> str:
    def find() -> str:
        (challenge,) = rows(field.database, "SELECT id FROM otp_challenges")
        return code_of(challenge["id"], str(GROWER.phone))

    return field.server.run(find)


def test_a_second_factor_is_asked_for_after_the_password(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    ask(terminal, "PUT", "/auth/two-factor", {"enabled": True})
    monkeypatch.setattr(builtins, "input", lambda: code_that_was_texted(terminal.place))
    terminal.answers = [PASSWORD]

    ran = terminal.type("login", str(GROWER.phone))

    assert ran.code == ExitCode.DONE
    assert "A code is on its way" in ran.out


def test_where_nobody_can_answer_it_says_so(terminal: Terminal) -> None:
    ran = terminal.type("login", str(GROWER.phone))

    assert ran.code == ExitCode.REFUSED
    assert "nobody to answer" in ran.err


def test_after_signing_out_nothing_is_sent_and_all_is_kept(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.sign_in()
    with monkeypatch.context() as offline:
        no_network(offline)
        path = terminal.write("notes.txt")
        terminal.type("upload", path)

    assert terminal.type("logout").code == ExitCode.DONE
    for command in (["upload"], ["upload", path], ["logout"], ["drop", "1"]):
        ran = terminal.type(*command)
        assert ran.code == ExitCode.SIGNED_OUT
        assert "fieldgate login" in ran.err
    terminal.sign_in()
    assert terminal.type("upload").out == terminal.sent(path)


def test_a_session_that_was_ended_elsewhere_is_told_and_all_is_kept(terminal: Terminal) -> None:
    terminal.sign_in()
    ask(terminal, "POST", "/auth/logout", {})
    path = terminal.write("notes.txt")

    ran = terminal.type("upload", path)

    assert ran.code == ExitCode.SIGNED_OUT
    assert "fieldgate login" in ran.err
    terminal.sign_in()
    assert terminal.type("upload").out == terminal.sent(path)
