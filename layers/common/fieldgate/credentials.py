"""Whose name calls to AWS are signed in, where it isn't boto3 that makes them."""

import os
from functools import cache
from typing import Any

from fieldgate.errors import ConfigurationError
from fieldgate.sigv4 import Credentials


def role_credentials() -> Credentials:
    """Return the credentials of the function's role, or of a developer's profile.

    They end; so they are to be asked for anew at each use, which costs a microsecond.

    Raises:
        ConfigurationError: there are none.

    """
    access_key = os.environ.get("AWS_ACCESS_KEY_ID")
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        return Credentials(access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN", ""))
    # Under SnapStart they don't stand in the environment but behind an endpoint that botocore
    # knows how to ask and when to ask again.
    found = _botocore_credentials()
    if found is None:
        raise ConfigurationError("no AWS credentials: neither a role's nor a profile's")
    frozen = found.get_frozen_credentials()
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")


@cache
def _botocore_credentials() -> Any:
    from botocore.session import get_session

    return get_session().get_credentials()
