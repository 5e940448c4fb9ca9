"""What our texts say: GSM 03.38, so that 160 characters are one text and not three."""

from typing import Annotated, Literal

from pydantic import Field

from fieldgate.settings import Settings, load

type Kind = Literal["code", "already_registered", "password_first", "phone_changed"]

_TEXTS: dict[Kind, str] = {
    "code": "{code} is your Fieldgate code. It is good for {minutes}. Never share it.",
    "already_registered": (
        "This number has a Fieldgate account already. Please log in instead of registering."
        " If you did not try to register, there is nothing to do."
    ),
    "password_first": (
        "Your Fieldgate account asks for your password before a code. Please log in with your"
        " password. If this was not you, there is nothing to do."
    ),
    "phone_changed": (
        "The phone of your Fieldgate account was changed. If this was not you, tell your"
        " administrator at once."
    ),
}


class TextSettings(Settings):
    """The hash of the Android app, as its SMS Retriever wants it at a text's end."""

    sms_app_hash: Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{11})?$")] = ""


def compose(kind: Kind, *, code: str, seconds: float) -> str:
    """Return the text of a message; `seconds` is how long the code is good for."""
    minutes = max(1, round(seconds / 60))
    text = _TEXTS[kind].format(code=code, minutes=f"{minutes} minute{'' if minutes == 1 else 's'}")
    app_hash = load(TextSettings).sms_app_hash
    return f"{text}\n{app_hash}" if app_hash and kind == "code" else text
