"""How far a user has heard, on the disk."""

from fieldgate_client.database import Database
from fieldgate_client.realtime_frames import Position


class Bookmark:
    """The position of one user of one server, moved when what is there has been dealt with.

    The device remembers one a server: another user begins anew, and so does the first one then.
    """

    def __init__(self, database: Database, server: str, user_id: str) -> None:
        self.user_id = user_id
        self._database = database
        self._server = server
        row = database.row(
            "SELECT epoch, stream_offset FROM realtime_positions WHERE server = ? AND user_id = ?",
            [server, user_id],
        )
        self.position = Position(*row) if row else None

    def covers(self, position: Position) -> bool:
        """Say whether what happened there has been dealt with."""
        return self.position is not None and self.position.covers(position)

    def move(self, position: Position) -> None:
        """Keep how far everything has been dealt with."""
        if position == self.position:
            return
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO realtime_positions (server, user_id, epoch, stream_offset)"
                " VALUES (?, ?, ?, ?)",
                [self._server, self.user_id, position.epoch, position.offset],
            )
        self.position = position

    def forget(self) -> None:
        """Begin anew, as if nothing had been heard yet."""
        self.position = None
