"""Whether a connection may be there: conditions in SQL, of rows of `realtime_connections`.

Each is said here once, for every query that asks.
"""

# A client that has not begun to speak by then is not going to.
HANDSHAKE_SECONDS = 60

# The sessions that live, of users who may come in.
LIVING_SESSIONS = """
    sessions JOIN users ON users.id = sessions.user_id AND users.status = 'active'
        AND sessions.ended_at IS NULL AND sessions.expires_at > now()"""

IS_SOMEBODYS = f"""
    EXISTS (SELECT FROM {LIVING_SESSIONS}
        WHERE sessions.id = realtime_connections.session_id
            AND sessions.user_id = realtime_connections.user_id)"""

# Its session, its user and its token are good.
IS_GOOD = f"(token_expires_at > now() AND {IS_SOMEBODYS})"

# It is to be closed.
IS_OVER = f"""
    (NOT {IS_GOOD} OR (ready_at IS NULL
        AND connected_at <= now() - interval '{HANDSHAKE_SECONDS} seconds'))"""

# It is owed something, no run is posting to it, and it isn't left alone for having taken nothing.
IS_DUE = """
    (ready_at IS NOT NULL AND wanted_offset > sent_offset
        AND (leased_until IS NULL OR leased_until < now())
        AND (retry_at IS NULL OR retry_at <= now()))"""
