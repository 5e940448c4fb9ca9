"""What somebody wants to hear, and when not. Their inbox has everything all the same."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator
from sqlalchemy.exc import IntegrityError

from fieldgate import request_id
from fieldgate.db.engine import Database, violated_constraint
from fieldgate.errors import Unauthorized
from fieldgate.http import RequestModel
from fieldgate.push.kinds import Kind
from fieldgate.time_zones import TimeZone
from push import preference_store
from push.preference_store import Stored
from push.request_types import Clock


def _each_once(kinds: list[Kind]) -> list[Kind]:
    if len(set(kinds)) < len(kinds):
        raise ValueError("names a kind more than once")
    return kinds


class QuietHours(RequestModel):
    """No pushes from then to then, by the clock of that place; over midnight where `to` is less."""

    begin: Annotated[Clock, Field(alias="from")]
    end: Annotated[Clock, Field(alias="to")]
    time_zone: TimeZone

    @model_validator(mode="after")
    def _some_of_the_day(self) -> Self:
        if self.begin == self.end:
            raise ValueError("must not be over when they begin; without quiet hours it is null")
        return self


class Preferences(RequestModel):
    """All of somebody's preferences; what is left out of it is not asked for."""

    quiet_hours: QuietHours | None = None
    muted: Annotated[list[Kind], AfterValidator(_each_once), Field(default_factory=list)]

    def stored(self) -> Stored:
        """Return them as they are stored."""
        if self.quiet_hours is None:
            return Stored(muted=self.muted)
        quiet = self.quiet_hours
        return Stored(quiet.begin, quiet.end, quiet.time_zone, self.muted)


def replace(database: Database, user_id: UUID, preferences: Preferences) -> Stored:
    """Make these somebody's preferences, instead of all that they had.

    Raises:
        Unauthorized: there is no such user (any more).

    """
    stored = preferences.stored()
    try:
        database.transact(
            lambda connection: preference_store.replace(connection, user_id, stored),
            actor=str(user_id),
            request_id=request_id.current(),
        )
    except IntegrityError as error:
        if not violated_constraint(error).endswith("_user_id_users"):
            raise
        raise Unauthorized("This account no longer exists.") from None
    return stored
