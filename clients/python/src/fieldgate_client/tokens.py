"""Who is signed in where, kept in the database: every process of this client shares it."""

from dataclasses import asdict, dataclass

from fieldgate_client.database import Database


@dataclass(frozen=True)
class Tokens:
    """What a session lives on. `expires_in` counts seconds from when they came: no clock time.

    `name` is the user's, to be shown where the server can't be asked.
    """

    user_id: str
    access_token: str
    refresh_token: str
    expires_in: int
    name: str | None = None


class TokenStore:
    """The sessions on this device, at most one a server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, server: str) -> Tokens | None:
        row = self._database.row(
            "SELECT user_id, access_token, refresh_token, expires_in, name FROM tokens"
            " WHERE server = ?",
            [server],
        )
        return Tokens(*row) if row else None

    def save(self, server: str, tokens: Tokens) -> None:
        """Keep a new session's tokens, in place of another's."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO tokens"
                " (server, user_id, access_token, refresh_token, expires_in, name)"
                " VALUES (:server, :user_id, :access_token, :refresh_token, :expires_in, :name)",
                asdict(tokens) | {"server": server},
            )

    def succeed(self, server: str, refresh_token: str, tokens: Tokens) -> None:
        """Keep the successors of `refresh_token`; not if others have come in its place."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE tokens SET access_token = ?, refresh_token = ?, expires_in = ?"
                " WHERE server = ? AND refresh_token = ?",
                [
                    tokens.access_token,
                    tokens.refresh_token,
                    tokens.expires_in,
                    server,
                    refresh_token,
                ],
            )

    def forget(self, server: str, refresh_token: str) -> bool:
        """Remove the session that `refresh_token` is of; say whether it was still there."""
        with self._database.transaction() as connection:
            gone = connection.execute(
                "DELETE FROM tokens WHERE server = ? AND refresh_token = ?",
                [server, refresh_token],
            )
        return gone.rowcount > 0
