"""Whether what a good token says still holds: asked of the cache, and on a miss of the database.

| key                          | value                                        | for    |
|------------------------------|----------------------------------------------|--------|
| `session:{id}`               | `alive` or `ended`                           | 30 s   |
| `user:{id}`                  | version of their permissions, or `inactive`  | 30 s   |

Roles and permissions are kept for ten minutes in two levels (fieldgate.two_level_cache), by the
user's id and the version of their permissions, so they are never old.

Whoever ends a session or changes a user says so here after the commit, and a look into the database
that raced with the change doesn't overwrite it. A change past our functions is said by nobody, or
to a cache that is down, and a session that is crowded out (session_store) is worth no word: so
states live for `STATE_SECONDS`.
"""

from typing import TYPE_CHECKING, Any

from fieldgate import cache, two_level_cache
from fieldgate.errors import Unauthorized

if TYPE_CHECKING:  # the authorizer seldom needs the database, and the import takes 150 ms
    from uuid import UUID

    from identity.store import User

STATE_SECONDS = 30
RIGHTS = "permissions"
ALIVE, ENDED, INACTIVE = "alive", "ended", "inactive"


def check(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of a verified token with the roles and permissions of now.

    One trip to the cache, and seldom another for rights that are not the token's. On a miss one
    read of the database.

    Raises:
        Unauthorized: the session has ended, or the user is not active.
        Unavailable: neither cache nor database answers.

    """
    session_key, user_key = f"session:{claims['sid']}", f"user:{claims['sub']}"
    states = cache.get_many([session_key, user_key])
    session, user = states.get(session_key), states.get(user_key)
    if session == ENDED or user == INACTIVE:
        raise Unauthorized("The session has ended.")
    if session == ALIVE and user is not None:
        # A token newer than what the cache knows says itself what was true since.
        if int(user) <= claims["pv"]:
            return claims
        key = f"{claims['sub']}:{user}"
        return claims | two_level_cache.get(RIGHTS, key, lambda: _from_database(claims))
    return claims | _from_database(claims)


def remember_ended(session_ids: "list[UUID]") -> None:
    """Have the tokens of these sessions refused from now on."""
    cache.set_many({f"session:{session_id}": ENDED for session_id in session_ids}, STATE_SECONDS)


def remember_user(user: "User") -> None:
    """Have the tokens of `user` mean what they may now; or nothing, when they are not active."""
    cache.set_many({f"user:{user.id}": _state(user)}, STATE_SECONDS)
    _remember_rights(user)


def _from_database(claims: dict[str, Any]) -> dict[str, list[str]]:
    from uuid import UUID

    from fieldgate.db.engine import database
    from identity import session_store

    user_id, session_id = UUID(claims["sub"]), UUID(claims["sid"])
    user, alive = database().read(
        lambda connection: session_store.find_with_session(connection, user_id, session_id)
    )
    states = {f"session:{session_id}": ALIVE if alive else ENDED, f"user:{user_id}": _state(user)}
    # What was said since we looked is newer.
    cache.set_many(states, STATE_SECONDS, only_new=True)
    if user is None or user.status != "active" or not alive:
        raise Unauthorized("The session has ended.")
    if user.permission_version > claims["pv"]:
        _remember_rights(user)
    return _rights(user)


def _remember_rights(user: "User") -> None:
    two_level_cache.put(RIGHTS, f"{user.id}:{user.permission_version}", _rights(user))


def _state(user: "User | None") -> str:
    return str(user.permission_version) if user and user.status == "active" else INACTIVE


def _rights(user: "User") -> dict[str, list[str]]:
    return {"roles": user.roles, "permissions": sorted(user.permissions)}
