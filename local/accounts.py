"""The local stack's accounts. They exist on this machine only; no deployment makes them."""

from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection, insert

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import user_roles, users

PASSWORD = "fieldgate-demo"  # noqa: S105 printed in the README, good for nothing but a demo
PHONES = {
    "admin": "+254711000001",
    "agent": "+254711000002",
    "warehouse_manager": "+254711000003",
}


def create_accounts(database: Database, password_hash: str) -> None:
    """Add one user a role, with that hash as everybody's password."""

    def add_all(connection: Connection) -> None:
        for role, phone in PHONES.items():
            name = role.replace("_", " ").capitalize()
            # The same at each start: what an app keeps for its user still is that user's.
            account = {"id": uuid5(NAMESPACE_URL, f"tel:{phone}"), "phone": phone, "name": name}
            connection.execute(
                insert(users).values(**account, password_hash=password_hash, status="active")
            )
            connection.execute(insert(user_roles).values(user_id=account["id"], role=role))

    database.transact(add_all, actor="system:local-stack")
