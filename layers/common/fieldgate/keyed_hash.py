"""Hashes that only we can make: HMAC-SHA-256 (RFC 2104) with the secret `PEPPER`.

`PEPPER` is at least 32 characters of randomness, from the environment, Secrets Manager or SSM (see
settings). Changing it ends every session and every open challenge, and nothing else.
"""

import hmac

from fieldgate.errors import ConfigurationError
from fieldgate.settings import lookup

MIN_PEPPER_CHARS = 32


def keyed_hash(use: str, data: bytes) -> bytes:
    """Return 32 bytes that follow from `data` and cannot be found without the secret.

    `use` names what for, so that no hash made for one thing passes for another.

    Raises:
        ConfigurationError: the secret is missing or too short to be one.
        Unavailable: the secret cannot be read.

    """
    pepper = lookup("PEPPER")
    if not pepper or len(pepper) < MIN_PEPPER_CHARS:
        raise ConfigurationError(f"PEPPER is not {MIN_PEPPER_CHARS} characters or more")
    return hmac.digest(pepper.encode(), use.encode() + b"\0" + data, "sha256")
