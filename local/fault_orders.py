"""The body of POST /_local/faults: what is to be broken, how, and for how long."""

from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from fieldgate.sms.africas_talking import FAILURES
from local.faults import STORAGE_FAULT_MODES, FaultMode
from local.fcm import TARGET as FCM
from local.fcm import token_target
from local.fcm_errors import FcmErrorCode

_FCM_CODES = frozenset(get_args(FcmErrorCode.__value__))


class FaultOrder(BaseModel):
    """An order to break something. 0 seconds mends.

    `code` goes with `error`: the status code of Africa's Talking that texts are refused with, or
    the error that FCM refuses messages with; `retryAfter` are the seconds that FCM then asks to be
    left alone for. `token` has FCM be broken for that app alone.
    """

    # A misspelt `token` would break FCM for all.
    model_config = ConfigDict(extra="forbid")

    target: Literal["cache", "s3", "sms", "fcm", "database"]
    mode: FaultMode
    seconds: Annotated[float, Field(ge=0, le=3600)]
    code: Literal[*FAILURES] | FcmErrorCode | None = None  # type: ignore[valid-type]
    retry_after: Annotated[float | None, Field(ge=0, le=86_400, alias="retryAfter")] = None
    token: Annotated[str | None, Field(min_length=1, max_length=4096)] = None

    @property
    def broken(self) -> str:
        """What `Faults` calls what is to be broken."""
        return self.target if self.token is None else token_target(self.token)

    @model_validator(mode="after")
    def _code_is_of_the_target(self) -> Self:
        if self.code is None:
            return self
        knows = {"sms": FAILURES.keys(), FCM: _FCM_CODES}.get(self.target, frozenset())
        if self.mode != "error" or not knows:
            raise PydanticCustomError("code", "code goes with target sms or fcm, and mode error")
        if self.code not in knows:
            raise PydanticCustomError("code", f"{self.code} is no code of {self.target}")
        return self

    @model_validator(mode="after")
    def _rest_is_for_fcm(self) -> Self:
        if self.token is not None and self.target != FCM:
            raise PydanticCustomError("token", "token goes with target fcm")
        if self.retry_after is not None and (self.target, self.mode) != (FCM, "error"):
            raise PydanticCustomError(
                "retry_after", "retryAfter goes with target fcm and mode error"
            )
        return self

    @model_validator(mode="after")
    def _mode_is_of_the_target(self) -> Self:
        if self.mode in STORAGE_FAULT_MODES and self.target != "s3":
            raise PydanticCustomError("mode", f"mode {self.mode} goes with target s3")
        return self
