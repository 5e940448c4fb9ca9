"""Typed settings, read from the environment when first used and kept for the environment's life.

A setting `NAME` comes from the variable `NAME`. A secret need not stand in the environment: when
`NAME` is absent, `NAME_SECRET_ARN` names a Secrets Manager secret that holds it, or
`NAME_PARAMETER` an SSM parameter; both are read by Powertools and kept for five minutes.
(Seed: "Secret Injection" of WF-INTEG, whose variable names are accepted as aliases.)
"""

import os
from functools import cache
from typing import cast

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError

from fieldgate.errors import ConfigurationError
from fieldgate.observability import logger

SECRET_MAX_AGE_SECONDS = 300


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
        None when the group does not load: the caller then answers as documented for `feature` off.

    """
    try:
        return load(model)
    except ConfigurationError as error:
        warn_feature_off(feature, str(error))
        return None


@cache
def warn_feature_off(feature: str, reason: str) -> None:
    """Say once per environment that an optional integration is not there."""
    logger().warning("feature off", extra={"feature": feature, "reason": reason})


def lookup(name: str) -> str | None:
    """Return the text of setting `name` by the rule of this module, or None when it is not set."""
    if value := os.environ.get(name):
        return value
    if arn := os.environ.get(f"{name}_SECRET_ARN"):
        return read_secret(arn)
    if parameter := os.environ.get(f"{name}_PARAMETER"):
        return read_parameter(parameter)
    return None


def read_secret(arn: str) -> str:
    """Return the text of a Secrets Manager secret, at most five minutes old."""
    from aws_lambda_powertools.utilities.parameters import get_secret

    return get_secret(arn, max_age=SECRET_MAX_AGE_SECONDS)


def read_parameter(name: str) -> str:
    """Return the (decrypted) text of an SSM parameter, at most five minutes old."""
    from aws_lambda_powertools.utilities.parameters import get_parameter

    return get_parameter(name, decrypt=True, max_age=SECRET_MAX_AGE_SECONDS)


def forget() -> None:
    """Read everything again at next use: for tests, and after a secret was rotated."""
    from aws_lambda_powertools.utilities.parameters import clear_caches

    _loaded.clear()
    warn_feature_off.cache_clear()
    clear_caches()  # type: ignore[no-untyped-call]


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
