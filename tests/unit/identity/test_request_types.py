"""What may be typed into requests about accounts."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from identity.request_types import Code, Email, Name, NewPassword, Password


@pytest.mark.parametrize(
    ("kind", "typed", "taken"),
    [
        (Code, "000000", "000000"),
        (Code, "012345", "012345"),
        (Name, "  Grower Two ", "Grower Two"),
        (Name, "N'Gor\u00e9 \u0410\u043d", "N'Gor\u00e9 \u0410\u043d"),
        (Name, "x" * 120, "x" * 120),
        (Email, " Grower@Farm.example.org", "Grower@Farm.example.org"),
        (Email, "a+b@c.d", "a+b@c.d"),
    ],
)
def test_what_is_taken(kind: Any, typed: str, taken: str) -> None:
    assert TypeAdapter(kind).validate_python(typed) == taken


@pytest.mark.parametrize("typed", ["8 chars.", "maize & beans", "\u00e9" * 512, "p\0ssw\nrd"])
def test_which_passwords_are_taken(typed: str) -> None:
    assert TypeAdapter(NewPassword).validate_python(typed).get_secret_value() == typed


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        (Code, 123456),
        (Code, 123456.0),
        (Code, "12345"),
        (Code, "1234567"),
        (Code, " 123456"),
        (Code, "123456\n"),
        (Code, "123 456"),
        (Code, "+12345"),
        (Code, "-12345"),
        (Code, "0x1234"),
        (Code, "1e1234"),
        (Code, "\u0661\u0662\u0663\u0664\u0665\u0666"),
        (Code, "\uff11\uff12\uff13\uff14\uff15\uff16"),
        (Code, "\u00b2" * 6),
        (Code, ["123456"]),
        (Code, None),
        (Code, True),
        (Code, b"12345\xff"),
        (Name, ""),
        (Name, "   "),
        (Name, "a\0b"),
        (Name, "two\nlines"),
        (Name, "\u202eevil"),
        (Name, "am\ud800na"),
        (Name, "x" * 121),
        (Email, ""),
        (Email, "grower"),
        (Email, "grower@farm"),
        (Email, "@farm.example.org"),
        (Email, "a@b@farm.example.org"),
        (Email, "grower@farm.example.org\0"),
        (Email, "two words@farm.example.org"),
        (Email, f"{'x' * 250}@a.bc"),
        (NewPassword, "seven.."),
        (NewPassword, "x" * 1025),
        (NewPassword, "\u00e9" * 513),
        (NewPassword, "maize\udfff and beans"),
        (NewPassword, 12345678),
    ],
)
def test_what_is_refused(kind: Any, typed: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(typed)


@pytest.mark.parametrize(
    ("kind", "typed", "sentence"),
    [
        (Code, "12345", "must be six digits"),
        (Name, " ", "is empty"),
        (Email, "grower", "is not an e-mail address"),
        (NewPassword, "seven..", "must have at least 8 characters"),
        (NewPassword, "", "must have at least 8 characters"),
        (NewPassword, "\u00e9" * 513, "may have 1024 bytes at most"),
        (NewPassword, "maize\udfff and beans", "is not text"),
        (Password, "", "is empty"),
        (Password, "x" * 1025, "may have 1024 characters at most"),
    ],
)
def test_what_is_refused_is_said_in_words_for_a_person(
    kind: Any, typed: str, sentence: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        TypeAdapter(kind).validate_python(typed)
    assert [fault["msg"] for fault in refusal.value.errors()] == [f"Value error, {sentence}"]
