"""How the engine and the server make sure of each other."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fieldgate.db.connecting import DatabaseUnreachable, open_connection, tls_context
from fieldgate.db.url import DatabaseAddress, parse_url
from local.postgres import PostgresServer


class Remote(DatabaseAddress):
    is_loopback = False


def test_a_server_without_tls_is_refused_unless_on_loopback(postgres: PostgresServer) -> None:
    address = parse_url(postgres.url, "X")
    remote = Remote(address.host, address.port, address.database, address.username, "p")
    with pytest.raises(DatabaseUnreachable) as caught:
        open_connection(remote, deadline=time.monotonic() + 3)
    assert "refuses SSL" in str(caught.value.__cause__)


def test_tls_verifies_chain_and_name(tmp_path: Path) -> None:
    certificate, key = make_certificate("localhost")
    (tmp_path / "server.pem").write_bytes(key + certificate)
    ca_path = tmp_path / "ca.pem"
    ca_path.write_bytes(certificate)

    def greeted(host: str, ca_cert: str) -> bytes:
        with tls_server(tmp_path / "server.pem") as (port, received):
            address = Remote(host, port, "d", "u", "p")
            deadline = time.monotonic() + 3
            with pytest.raises(DatabaseUnreachable):
                open_connection(address, deadline=deadline, ca_cert=ca_cert)
        return b"".join(received)

    assert b"user\0u\0" in greeted("localhost", str(ca_path))
    assert b"user\0u\0" in greeted("localhost", certificate.decode())
    assert greeted("127.0.0.1", str(ca_path)) == b""  # another name than the certificate's
    assert greeted("localhost", "") == b""  # an authority nobody knows
    context = tls_context("")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert tls_context("") is context


def make_certificate(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(pem), private


@contextmanager
def tls_server(pem: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A server that agrees to TLS, notes what it is told inside it, and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(8)
        connection.sendall(b"S")
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                received.append(secured.recv(4096))
        except OSError:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], received
    finally:
        thread.join()
        listener.close()
