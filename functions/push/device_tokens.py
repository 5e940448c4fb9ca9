"""Device tokens at rest: encrypted to be sent to, hashed to be found.

Who has a token and our credentials can push to that phone, so a leaked table must not hold it. Both
the key and the hash follow from `PEPPER`. Another pepper ends every session, and so removes every
device; phones register again when their people sign in.
"""

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from fieldgate.keyed_hash import keyed_hash

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


def hash_token(token: str) -> bytes:
    """Return 32 bytes by which a token is found; raises as `keyed_hash`."""
    return keyed_hash("device token", token.encode())


def encrypt_token(token: str) -> bytes:
    """Return the token for `decrypt_token` alone to read; raises as `keyed_hash`."""
    return _fernet().encrypt(token.encode())


def decrypt_token(encrypted: bytes) -> str | None:
    """Return the token, or None when it was encrypted with another pepper, or isn't whole.

    Raises as `keyed_hash`.
    """
    from cryptography.fernet import InvalidToken

    try:
        return _fernet().decrypt(encrypted).decode()
    except InvalidToken:
        return None


def _fernet() -> "Fernet":
    from cryptography.fernet import Fernet

    return Fernet(urlsafe_b64encode(keyed_hash("device token encryption", b"")))
