"""Who pushes are handed to: Firebase Cloud Messaging, or nobody."""

import json
from pathlib import Path

from pydantic import AliasChoices, Field

from fieldgate.errors import Unavailable
from fieldgate.push import Pusher
from fieldgate.settings import Settings, load, lookup, once, warn_feature_off

FEATURE = "pushes"
CREDENTIALS = "FIREBASE_CREDENTIALS"


class FirebaseSettings(Settings):
    """`project_id` may be empty for the credentials' own.

    `url` replaces the address of the provider's API: by a stand-in's, in the local stack. The
    credentials themselves, the JSON of a service account's key, stand in `FIREBASE_CREDENTIALS`
    (see settings), or else in the file at `credentials_path`.
    """

    enabled: bool = Field(
        default=False, validation_alias=AliasChoices("FIREBASE_ENABLED", "Firebase__Enabled")
    )
    project_id: str = Field(
        default="", validation_alias=AliasChoices("FIREBASE_PROJECT_ID", "Firebase__ProjectId")
    )
    credentials_path: str = Field(default="", validation_alias="Firebase__CredentialsPath")
    url: str = Field(default="", validation_alias="FIREBASE_URL")


@once
def pusher() -> Pusher | None:
    """Return what this deployment pushes by; None, with a warning, where pushes are off.

    Credentials that are there, and aren't any, are no reason to be off: somebody meant to push, and
    is told by each message that they are to act.

    Raises:
        ConfigurationError: the settings are malformed.

    """
    settings = load(FirebaseSettings)
    if not settings.enabled:
        warn_feature_off(FEATURE, "FIREBASE_ENABLED is not true")
        return None
    try:
        credentials = read_credentials()
    except Unavailable:
        pass  # They are there, and can't be read now.
    else:
        if not credentials:
            warn_feature_off(FEATURE, f"{CREDENTIALS} is not set")
            return None
        if not (settings.project_id or _names_project(credentials)):
            warn_feature_off(FEATURE, "FIREBASE_PROJECT_ID is not set")
            return None
    from fieldgate.push.fcm import FcmPusher

    return FcmPusher(read_credentials, settings.project_id, settings.url)


def read_credentials() -> str | None:
    """Return the JSON of a service account's key; None where there is none.

    Raises:
        Unavailable: what holds it can't be read.

    """
    credentials = lookup(CREDENTIALS)
    path = load(FirebaseSettings).credentials_path
    if credentials or not path:
        return credentials
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("The file with Firebase's credentials can't be read.") from error


def _names_project(credentials: str) -> bool:
    """Say whether a key has a project of its own, or is no key, of which others have to speak."""
    try:
        return bool(json.loads(credentials)["project_id"])
    except (ValueError, TypeError):
        return True
    except KeyError:
        return False
