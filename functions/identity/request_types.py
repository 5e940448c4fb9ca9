"""What people type into requests about accounts, and what is refused of it."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from identity.passwords import MAX_PASSWORD_BYTES

MIN_PASSWORD_CHARS = 8

# Whether an address is somebody's only a letter to it can tell.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def _encodable(password: SecretStr) -> SecretStr:
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write and UTF-8 can't
        raise ValueError("is not text") from None
    return password


def _not_too_long(password: SecretStr) -> SecretStr:
    if len(password.get_secret_value().encode()) > MAX_PASSWORD_BYTES:
        raise ValueError(f"may be {MAX_PASSWORD_BYTES} bytes at most")
    return password


def _name(name: str) -> str:
    name = name.strip()
    if not name:
        raise ValueError("is empty")
    # No control characters, no surrogates, nothing that turns the direction of what follows.
    if not name.isprintable():
        raise ValueError("has characters that can't be shown")
    return name


def _email(email: str) -> str:
    email = email.strip()
    if not email.isprintable() or not _EMAIL.fullmatch(email):
        raise ValueError("is not an e-mail address")
    return email


# One that exists may be of an older system, with other rules.
Password = Annotated[
    SecretStr, Field(min_length=1, max_length=MAX_PASSWORD_BYTES), AfterValidator(_encodable)
]
NewPassword = Annotated[
    SecretStr,
    Field(min_length=MIN_PASSWORD_CHARS, max_length=MAX_PASSWORD_BYTES),
    AfterValidator(_encodable),
    AfterValidator(_not_too_long),
]
Name = Annotated[str, Field(max_length=120), AfterValidator(_name)]
Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]
# Six ASCII digits as text: a number would lose its leading zeros.
Code = Annotated[str, Field(pattern="^[0-9]{6}$")]
