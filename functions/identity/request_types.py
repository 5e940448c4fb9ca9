"""What people type into requests about accounts, and what is refused of it."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema

from identity.passwords import MAX_PASSWORD_BYTES

MIN_PASSWORD_CHARS = 8

# Whether an address is somebody's only a letter to it can tell.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
# ASCII's only; and as text: a number would lose its leading zeros.
_CODE = re.compile("[0-9]{6}")


def _encodable(password: SecretStr) -> SecretStr:
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write and UTF-8 can't
        raise ValueError("is not text") from None
    return password


def _of_some_length(password: SecretStr) -> SecretStr:
    if not password.get_secret_value():
        raise ValueError("is empty")
    if len(password.get_secret_value()) > MAX_PASSWORD_BYTES:
        raise ValueError(f"may have {MAX_PASSWORD_BYTES} characters at most")
    return password


def _long_enough(password: SecretStr) -> SecretStr:
    if len(password.get_secret_value()) < MIN_PASSWORD_CHARS:
        raise ValueError(f"must have at least {MIN_PASSWORD_CHARS} characters")
    return password


def _not_too_long(password: SecretStr) -> SecretStr:
    if len(password.get_secret_value().encode()) > MAX_PASSWORD_BYTES:
        raise ValueError(f"may have {MAX_PASSWORD_BYTES} bytes at most")
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


def _code(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise ValueError("must be six digits")
    return code


_EncodablePassword = Annotated[SecretStr, AfterValidator(_encodable)]
# One that exists may be of an older system, with other rules.
Password = Annotated[_EncodablePassword, AfterValidator(_of_some_length)]
NewPassword = Annotated[
    _EncodablePassword,
    AfterValidator(_long_enough),
    AfterValidator(_not_too_long),
    WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "minLength": MIN_PASSWORD_CHARS,
            "description": f"Of {MAX_PASSWORD_BYTES} bytes at most",
        }
    ),
]
Name = Annotated[str, Field(max_length=120), AfterValidator(_name)]
Email = Annotated[
    str,
    Field(max_length=254),
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254}),
]
Code = Annotated[
    str, AfterValidator(_code), WithJsonSchema({"type": "string", "pattern": f"^{_CODE.pattern}$"})
]
