"""People who are signed in on a phone, and what its app asks of the functions about push.

grower = sign_in(database)
assert grower.register().status == 200
assert [device["state"] for device in grower.devices()] == ["active"]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

from fieldgate.db.engine import Database
from fieldgate.push.notifying import NewNotification, notify
from push import (
    delete_device,
    list_devices,
    list_inbox,
    mark_read,
    notification_preferences,
    register_device,
)
from tests.support.gateway import Answer, Handler, call, signed_in
from tests.support.people import Person, Phone, begin_session, register

TOKEN = "dGhlLWRldmljZQ:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
NOTIFICATIONS = "/notifications"
PREFERENCES = "/notifications/preferences"
_numbers = count(1)


@dataclass(frozen=True)
class Handset:
    """Somebody, and their session on this phone."""

    database: Database
    person: Person
    session: Phone

    @property
    def user_id(self) -> UUID:
        return self.person.id

    @property
    def session_id(self) -> UUID:
        return self.session.session_id

    def ask(
        self, handler: Handler, method: str, path: str, route: str = "", **request: Any
    ) -> Answer:
        """Ask by a token whose session the authorizer does not look at."""
        return call(
            handler,
            method,
            f"/api/v1{path}",
            route=f"{method} /api/v1{route or path}",
            authorizer=signed_in(self.user_id, session_id=self.session_id),
            **request,
        )

    def register(self, token: Any = TOKEN, **more: Any) -> Answer:
        """Register a device; a value of `...` leaves the field out."""
        fields = {"token": token, "platform": "android"} | more
        content = {name: value for name, value in fields.items() if value is not ...}
        return self.ask(register_device.handler, "PUT", "/devices", content=content)

    def add(self, token: str = TOKEN, **more: Any) -> str:
        """Register a device, and return its id."""
        device_id: str = self.register(token, **more).data["deviceId"]
        return device_id

    def devices(self, query: str = "") -> list[dict[str, Any]]:
        answer = self.ask(list_devices.handler, "GET", "/devices", query=query)
        found: list[dict[str, Any]] = answer.data
        return found

    def delete(self, device_id: object) -> Answer:
        path = f"/devices/{device_id}"
        return self.ask(delete_device.handler, "DELETE", path, "/devices/{id}")

    def preferences(self) -> Answer:
        return self.ask(notification_preferences.handler, "GET", PREFERENCES)

    def prefer(self, content: Any = None, **request: Any) -> Answer:
        handler = notification_preferences.handler
        return self.ask(handler, "PUT", PREFERENCES, content=content, **request)

    def inbox(self, query: str = "") -> Answer:
        return self.ask(list_inbox.handler, "GET", NOTIFICATIONS, query=query)

    def read(self, notification_id: object) -> Answer:
        path = f"{NOTIFICATIONS}/{notification_id}/read"
        return self.ask(mark_read.handler, "PUT", path, f"{NOTIFICATIONS}/{{id}}/read")

    def sign_in_again(self) -> "Handset":
        """Return the same person in another session."""
        return Handset(
            self.database, self.person, begin_session(self.database, self.person, "mobile")
        )


def sign_in(database: Database, role: str = "agent") -> Handset:
    """Add somebody with a role, who signs in. Needs the fixture `environment`."""
    number = next(_numbers)
    person = Person(
        "", None, phone=f"+25472{number:07}", email=None, name=f"Grower {number}", roles=(role,)
    )
    register(database, person)
    return Handset(database, person, begin_session(database, person, "mobile"))


def tell(database: Database, *recipients: Handset, data: Mapping[str, str] | None = None) -> UUID:
    """Notify these people; return the notification's id."""
    new = NewNotification(
        kind="general",
        title="Rain",
        body="Bring the maize in.",
        data=data or {},
        user_ids=[recipient.user_id for recipient in recipients],
    )
    return database.transact(lambda connection: notify(connection, new))
