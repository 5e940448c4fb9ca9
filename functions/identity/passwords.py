"""Password hashes: argon2id, and bcrypt from the systems that users come from."""

from dataclasses import dataclass

# Longer ones only cost us time to hash; bcrypt looks at no more than 72 bytes anyway.
MAX_PASSWORD_BYTES = 1024
_BCRYPT_PREFIXES = ("$2a$", "$2b$", "$2y$")
_BCRYPT_MAX_BYTES = 72


@dataclass(frozen=True)
class Verdict:
    """`new_hash` is set when the password is right and its hash should be replaced."""

    correct: bool
    new_hash: str | None = None


def hash_password(password: str) -> str:
    """Return the argon2id hash to store, parameters inside (RFC 9106's low-memory profile)."""
    from argon2 import PasswordHasher
    from argon2.profiles import RFC_9106_LOW_MEMORY

    return PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY).hash(password)


def check_password(stored_hash: str | None, password: str) -> Verdict:
    """Compare a password with a stored hash, of argon2id or bcrypt.

    Without a stored hash (no such user) an argon2id hash is made in vain, so that the time taken
    does not tell whether the user is known.
    """
    if stored_hash is None:
        hash_password(password)
        return Verdict(correct=False)
    if stored_hash.startswith(_BCRYPT_PREFIXES):
        return _check_bcrypt(stored_hash, password)
    return _check_argon2(stored_hash, password)


def _check_bcrypt(stored_hash: str, password: str) -> Verdict:
    import bcrypt

    typed = password.encode()
    secret = typed[:_BCRYPT_MAX_BYTES]
    try:
        correct = b"\0" not in secret and bcrypt.checkpw(secret, stored_hash.encode())
    except ValueError:  # a damaged hash lets nobody in
        correct = False
    # What bcrypt didn't look at may be anything: it must not become part of the new hash.
    complete = len(typed) <= _BCRYPT_MAX_BYTES
    return Verdict(correct, hash_password(password) if correct and complete else None)


def _check_argon2(stored_hash: str, password: str) -> Verdict:
    from argon2 import PasswordHasher
    from argon2.exceptions import VerificationError
    from argon2.profiles import RFC_9106_LOW_MEMORY

    hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
    try:
        hasher.verify(stored_hash, password)
    except (VerificationError, ValueError):  # a damaged hash lets nobody in
        return Verdict(correct=False)
    outdated = hasher.check_needs_rehash(stored_hash)
    return Verdict(correct=True, new_hash=hasher.hash(password) if outdated else None)
