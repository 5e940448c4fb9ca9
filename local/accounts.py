"""The local stack's accounts. They exist on this machine only; no deployment makes them."""

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
            user_id = connection.execute(
                insert(users)
                .values(phone=phone, name=name, password_hash=password_hash, status="active")
                .returning(users.c.id)
            ).scalar_one()
            connection.execute(insert(user_roles).values(user_id=user_id, role=role))

    database.transact(add_all, actor="system:local-stack")
