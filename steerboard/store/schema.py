"""Brings a database to the newest schema, whatever state it is found in."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect, text

from steerboard.spec.errors import InvalidRequest

FIRST = "0001"
LOCK = 0x57EE2B0A2D  # any number that only this program locks in PostgreSQL


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest revision; raises InvalidRequest where it is newer still."""
    try:
        revise(engine, "head")
    except CommandError as error:
        raise InvalidRequest(
            "the session database was written by a later version: update Steerboard, or name"
            " another database in STEERBOARD_STORE"
        ) from error


def revise(engine: Engine, revision: str) -> None:
    """Run the migrations up to ``revision``; processes that start together take turns."""
    with engine.connect() as connection:
        take_turn(connection)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        tables = set(inspect(connection).get_table_names())
        # A database from before the migrations holds exactly what the first of them makes.
        if "events" in tables and "alembic_version" not in tables:
            command.stamp(config, FIRST)
        command.upgrade(config, revision)
        connection.commit()


def take_turn(connection: Connection) -> None:
    """Wait until no other process is changing the schema; held until the commit."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK})
