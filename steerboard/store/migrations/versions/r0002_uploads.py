"""Uploaded pictures beside their sessions; the ways around the triggers are closed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of uploads; no TRUNCATE (PostgreSQL), no INSERT OR REPLACE (SQLite)."""
    op.create_table(
        "uploads",
        sa.Column("session", sa.String(32), sa.ForeignKey("sessions.id"), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("sessions_by_subject", "sessions", ["subject", "opened"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events"
            " FOR EACH STATEMENT EXECUTE FUNCTION events_refuse()"
        )
        return
    # A REPLACE deletes without asking the DELETE trigger, unless recursive triggers are on.
    op.execute(
        "CREATE TRIGGER events_no_replace BEFORE INSERT ON events WHEN EXISTS"
        " (SELECT 1 FROM events WHERE session = NEW.session AND place = NEW.place)"
        " BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END"
    )


def downgrade() -> None:
    """There is no way back that keeps the log."""
    raise NotImplementedError("the event log is append-only")
