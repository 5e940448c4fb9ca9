"""`fieldgate` as somebody types it, and what they see."""

from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from fieldgate_client import assembled, cli
from fieldgate_client.assembled import ExitCode
from fieldgate_client.database import Database
from fieldgate_client.network import NetworkType
from fieldgate_client.tokens import TokenStore
from identity.passwords import hash_password
from tests.support.people import Person
from tests.support.phone import Field

PASSWORD = "maize & beans"
GROWER = Person(PASSWORD, hash_password(PASSWORD))


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass
class Terminal:
    """Where `fieldgate` is typed, and what is answered when it asks."""

    place: Field
    home: Path
    capture: pytest.CaptureFixture[str]
    answers: list[str] = field(default_factory=list)

    def type(self, *arguments: str) -> Ran:
        self.capture.readouterr()
        code = cli.main(arguments)
        said = self.capture.readouterr()
        # The functions, which run in this process, write their metrics there.
        out = "".join(line for line in said.out.splitlines(True) if not line.startswith("{"))
        assert "Traceback" not in said.err
        self.assert_no_secret_in(out + said.err)
        return Ran(code, out, said.err)

    def sign_in(self) -> None:
        self.answers.append(PASSWORD)
        assert self.type("login", str(GROWER.phone)).code == ExitCode.DONE

    def write(self, name: str, content: bytes = b"some text") -> str:
        path = self.home.parent / name
        path.write_bytes(content)
        return str(path)

    def readline(self, size: int = -1) -> str:
        """Answer what is asked, as standard input does when it is a pipe."""
        return f"{self.answers.pop(0)}\n" if self.answers else ""

    def isatty(self) -> bool:
        return False

    def media_of(self, path: str) -> str:
        """Return the media that the last upload of a file has become, as `Sent:` is to say."""
        with Database(self.home / "client.db") as database:
            known = database.rows(
                "SELECT media_id FROM uploads WHERE path = ? AND state = 'completed'"
                " ORDER BY rowid DESC",
                [path],
            )
        return str(known[0]["media_id"])

    def sent(self, *paths: str) -> str:
        return "".join(f"Sent: {path} (media {self.media_of(path)})\n" for path in paths)

    def assert_no_secret_in(self, text: str) -> None:
        assert PASSWORD not in text
        with Database(self.home / "client.db") as database:
            tokens = TokenStore(database).load(self.place.server.url)
        if tokens is not None:
            assert tokens.access_token not in text
            assert tokens.refresh_token not in text


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembled, "network_towards", lambda server: NetworkType.NONE)


def ask(terminal: Terminal, method: str, path: str, content: object) -> None:
    """Ask the server by the token that `fieldgate` has, past it."""
    url = terminal.place.server.url
    with Database(terminal.home / "client.db") as database:
        tokens = TokenStore(database).load(url)
    assert tokens is not None
    bearer = {"Authorization": f"Bearer {tokens.access_token}"}
    httpx.request(method, f"{url}/api/v1{path}", json=content, headers=bearer).raise_for_status()
