"""Typed settings, read from the environment when first used and kept for the environment's life.

A setting `NAME` comes from the variable `NAME`. A secret need not stand in the environment: when
`NAME` is absent, `NAME_SECRET_ARN` names a Secrets Manager secret that holds it, or
`NAME_PARAMETER` an SSM parameter; both are read by Powertools and kept for five minutes.
(Seed: "Secret Injection" of WF-INTEG, whose variable names are accepted as aliases.)
"""

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError

from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
    from botocore.config import Config

SECRET_MAX_AGE_SECONDS = 300
SENTENCE = "The service cannot read its settings right now. Please try again shortly."


class Settings(BaseModel):
    """Base of a group of settings: field `page_size` is read from the variable `PAGE_SIZE`."""

    model_config = ConfigDict(
        frozen=True, alias_generator=str.upper, validate_by_name=False, hide_input_in_errors=True
    )


_loaded: dict[type[Settings], Settings] = {}


def load[S: Settings](model: type[S]) -> S:
    """Return the group `model`, read from the environment the first time.

    Raises:
        ConfigurationError: naming every variable that is missing or malformed, never its value.

    """
    if model not in _loaded:
        names = [name for field in model.model_fields.values() for name in _names(field)]
        values = {name: value for name in names if (value := lookup(name))}
        try:
            _loaded[model] = model.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(_explain(model, error)) from None
    return cast("S", _loaded[model])


def load_optional[S: Settings](model: type[S], feature: str) -> S | None:
    """Read the settings of an optional integration; when they are not there, warn and go without.

    Returns:
        None when the group does not load (what failed to be read is asked for again at the next
        use): the caller then answers as documented for `feature` off.

    """
    try:
        return load(model)
    except (ConfigurationError, Unavailable) as error:
        warn_feature_off(feature, str(error))
        return None


@cache
def warn_feature_off(feature: str, reason: str) -> None:
    """Say once per environment that an optional integration is not there."""
    logger().warning("feature off", extra={"feature": feature, "reason": reason})


def lookup(name: str) -> str | None:
    """Return the text of setting `name` by the rule of this module, or None when it is not set.

    Raises:
        Unavailable: what holds it cannot be read.

    """
    if value := os.environ.get(name):
        return value
    if arn := os.environ.get(f"{name}_SECRET_ARN"):
        return _read(name, read_secret, arn)
    if parameter := os.environ.get(f"{name}_PARAMETER"):
        return _read(name, read_parameter, parameter)
    return None


def read_secret(arn: str) -> str:
    """Return the text of a Secrets Manager secret, at most five minutes old."""
    return str(_secrets().get(arn, max_age=SECRET_MAX_AGE_SECONDS))


def read_parameter(name: str) -> str:
    """Return the (decrypted) text of an SSM parameter, at most five minutes old."""
    return str(_parameters().get(name, decrypt=True, max_age=SECRET_MAX_AGE_SECONDS))


def forget() -> None:
    """Read everything again at next use: for tests, and after a secret was rotated."""
    _loaded.clear()
    warn_feature_off.cache_clear()
    _secrets.cache_clear()
    _parameters.cache_clear()


def _read(name: str, read: Callable[[str], str], place: str) -> str:
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    try:
        return read(place)
    except GetParameterError as error:
        logger().exception("setting can't be read", extra={"setting": name})
        raise Unavailable(SENTENCE) from error


@cache
def _secrets() -> "SecretsProvider":
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    return SecretsProvider(boto_config=_patience())


@cache
def _parameters() -> "SSMProvider":
    from aws_lambda_powertools.utilities.parameters import SSMProvider

    return SSMProvider(boto_config=_patience())


def _patience() -> "Config":
    """Give up within the authorizer's 5 seconds: botocore's own limits are 60, five times over."""
    from botocore.config import Config

    return Config(
        connect_timeout=1, read_timeout=1.5, retries={"mode": "standard", "total_max_attempts": 2}
    )


def _names(field: object) -> list[str]:
    alias = getattr(field, "validation_alias", None) or getattr(field, "alias", None)
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias)]


def _explain(model: type[Settings], error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in fault["loc"]) or model.__name__
        missing = fault["type"] == "missing"
        faults.append(f"{name} is not set" if missing else f"{name}: {fault['msg']}")
    return "; ".join(faults)
