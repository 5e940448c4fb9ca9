"""Typed settings, read from the environment when first used and kept for the environment's life.

A setting `NAME` comes from the variable `NAME`. A secret need not stand in the environment: when
`NAME` is absent, `NAME_SECRET_ARN` names a Secrets Manager secret that holds it, or
`NAME_PARAMETER` an SSM parameter; both are read by Powertools and kept for five minutes, and for
longer while they can't be read anew.
Names in .NET's manner (`Firebase__Enabled`) and a cloud's (`DO_SPACES_NAME`) are aliases of some.
"""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError

from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.observability import logger

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

    from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
    from botocore.config import Config

SECRET_MAX_AGE_SECONDS = 300
RETRY_SECONDS = 60
SENTENCE = "The service cannot read its settings right now. Please try again shortly."


class Settings(BaseModel):
    """Base of a group of settings: field `page_size` is read from the variable `PAGE_SIZE`."""

    model_config = ConfigDict(
        frozen=True, alias_generator=str.upper, validate_by_name=False, hide_input_in_errors=True
    )


_loaded: dict[type[Settings], Settings] = {}
_kept_once: "list[_lru_cache_wrapper[Any]]" = []
# By secret or parameter: what was read last, and until when no other try is made.
_last_read: dict[str, tuple[str, float]] = {}


def once[**P, R](make: Callable[P, R]) -> "_lru_cache_wrapper[R]":
    """Keep what `make` returns for the environment's life, or until `forget`."""
    kept = cache(make)
    _kept_once.append(kept)
    return kept


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


@once
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
        return read_secret(arn)
    if parameter := os.environ.get(f"{name}_PARAMETER"):
        return read_parameter(parameter)
    return None


def read_secret(arn: str) -> str:
    """Return the text of a Secrets Manager secret, at most five minutes old while it can be read.

    Raises:
        Unavailable: it cannot be read, and never could.

    """
    return _read(arn, lambda: _secrets().get(arn, max_age=SECRET_MAX_AGE_SECONDS))


def read_parameter(name: str) -> str:
    """Return the (decrypted) text of an SSM parameter; age and errors as for a secret."""
    return _read(
        name, lambda: _parameters().get(name, decrypt=True, max_age=SECRET_MAX_AGE_SECONDS)
    )


def forget() -> None:
    """Make and read everything anew at next use, as a new environment would."""
    _loaded.clear()
    for kept in _kept_once:
        kept.cache_clear()
    _last_read.clear()
    _secrets.cache_clear()
    _parameters.cache_clear()


def forget_secrets() -> None:
    """Read secrets and parameters anew at next use, where that works: one of them was refused."""
    _secrets.cache_clear()
    _parameters.cache_clear()
    for place, (last, _) in _last_read.items():
        _last_read[place] = last, 0.0


def _read(place: str, read: Callable[[], object]) -> str:
    """Read a secret or parameter; while that fails, go on with what was read last.

    The next try then is a minute later, so that not every request waits for it.
    """
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    last, retry_at = _last_read.get(place, ("", 0.0))
    if last and time.monotonic() < retry_at:
        return last
    try:
        value = str(read())
    except GetParameterError as error:
        if not last:
            logger().exception("setting can't be read", extra={"place": place})
            raise Unavailable(SENTENCE) from error
        logger().warning("setting can't be read anew", extra={"place": place}, exc_info=True)
        _last_read[place] = last, time.monotonic() + RETRY_SECONDS
        return last
    _last_read[place] = value, 0.0
    return value


@cache
def _secrets() -> "SecretsProvider":
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    return SecretsProvider(boto_config=_client_config())


@cache
def _parameters() -> "SSMProvider":
    from aws_lambda_powertools.utilities.parameters import SSMProvider

    return SSMProvider(boto_config=_client_config())


def _client_config() -> "Config":
    """Give up soon: botocore's own limits are 60 seconds, five times over."""
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
