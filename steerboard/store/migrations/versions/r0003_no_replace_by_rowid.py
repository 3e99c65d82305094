"""Closes the last way around the triggers of SQLite: a REPLACE that meets a row's own number."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The trigger looks for the hidden rowid too, by which another place can replace a row."""
    if op.get_bind().dialect.name == "postgresql":
        return
    op.execute("DROP TRIGGER events_no_replace")
    op.execute(
        "CREATE TRIGGER events_no_replace BEFORE INSERT ON events WHEN EXISTS"
        " (SELECT 1 FROM events WHERE rowid = NEW.rowid"
        " OR (session = NEW.session AND place = NEW.place))"
        " BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END"
    )


def downgrade() -> None:
    """There is no way back that keeps the log."""
    raise NotImplementedError("the event log is append-only")
