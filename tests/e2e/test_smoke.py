"""`make smoke`: it finds a good environment good, and says what is wrong with another."""

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from local.accounts import PASSWORD, PHONES
from local.template import ROOT
from tests.e2e.conftest import Stack
from tests.support.ports import free_port_pair

ADMIN = {"SMOKE_IDENTIFIER": PHONES["admin"], "SMOKE_PASSWORD": PASSWORD}


def smoke(base_url: str, **environment: str) -> tuple[int, str]:
    """Run it as make does; return the exit code and what it told."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.smoke"],
        cwd=ROOT,
        env=os.environ
        | {"BASE_URL": base_url, "PYTHONPATH": "functions:layers/common:."}
        | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


class Portal(BaseHTTPRequestHandler):
    """Answers everything with its own page, as portals do."""

    def do_GET(self) -> None:
        page = b"<html>Welcome to our network</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_portal(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve a portal; yields its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def portal() -> Iterator[str]:
    with running_portal() as port:
        yield f"http://127.0.0.1:{port}"


def certified(folder: Path, days: int) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for localhost that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = folder / "certificate.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, file


@pytest.fixture
def commit(stack: Stack) -> str:
    return str(httpx.get(f"{stack.url}/health/version").json()["commitSha"])


def test_the_stack_passes_and_nothing_stays(stack: Stack, commit: str) -> None:
    with stack.phone("admin") as admin:
        before = admin.get("/api/v1/media?folder=uploads").json()["pagination"]["total"]
        code, told = smoke(stack.url, COMMIT=commit, SETTLE_SECONDS="60", **ADMIN)
        assert code == 0, told
        after = admin.get("/api/v1/media?folder=uploads").json()["pagination"]["total"]
    assert after == before
    for line in ("CORS, the web app", "DataChanged of it", "delete it", "sign out"):
        assert f"ok       {line}" in told
    assert "All 26 checks passed" in told
    assert PASSWORD not in told


def test_what_it_has_no_account_for_is_left_out(stack: Stack) -> None:
    code, told = smoke(stack.url, SMOKE_IDENTIFIER="", SMOKE_PASSWORD="", SETTLE_SECONDS="60")
    assert code == 0, told
    assert "left out signing in" in told


def test_other_code_than_the_expected_is_a_failure(stack: Stack, commit: str) -> None:
    code, told = smoke(stack.url, COMMIT="0000000", SETTLE_SECONDS="0")
    assert code == 1
    assert f"commit {commit} answers, not 0000000" in told


def test_a_wrong_password_is_a_failure(stack: Stack) -> None:
    wrong = ADMIN | {"SMOKE_PASSWORD": "not the password"}
    code, told = smoke(stack.url, SETTLE_SECONDS="0", **wrong)
    assert code == 1
    assert "FAILED   sign in" in told
    assert "INVALID_CREDENTIALS" in told
    assert "not the password" not in told


def test_another_server_fails_with_its_own_words(portal: str) -> None:
    code, told = smoke(portal, SETTLE_SECONDS="0", **ADMIN)
    assert code == 1
    assert "phones look for portals by it: 200 <html>Welcome to our network</html>" in told
    assert "12 of 14 checks failed" in told
    assert "not told credentials" in told


def test_a_certificate_that_nobody_trusts_is_a_failure(tmp_path: Path) -> None:
    context, _ = certified(tmp_path, days=90)
    with running_portal(context) as port:
        code, told = smoke(f"https://localhost:{port}", SETTLE_SECONDS="0")
    assert code == 1
    assert "the certificate is not to be trusted" in told
    assert "not told credentials: its certificate is not to be trusted" in told
    assert "Nobody to ask" not in told


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (90, "ok       certificate                   TLSv1.3, 90 days left"),
        (3, "it ends in 3 days"),
    ],
)
def test_a_certificate_that_ends_soon_is_a_failure(tmp_path: Path, days: int, words: str) -> None:
    context, file = certified(tmp_path, days)
    with running_portal(context) as port:
        _, told = smoke(f"https://localhost:{port}", SETTLE_SECONDS="0", SSL_CERT_FILE=str(file))
    assert words in told


def test_nobody_there_is_said_at_once() -> None:
    url = f"http://127.0.0.1:{free_port_pair()}"
    code, told = smoke(url, SETTLE_SECONDS="0")
    assert code == 1
    assert f"Nobody to ask at {url}" in told
    assert "make up" in told
    assert "left out signing in, an upload         nothing answered there" in told


def test_without_an_address_it_says_how_it_is_called() -> None:
    code, told = smoke("")
    assert code == 2
    assert "make smoke BASE_URL=" in told
