"""An event takes the next place of its session: none can be slipped in before others."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEXT = "SELECT COALESCE(MAX(place), -1) + 1 FROM events WHERE session = NEW.session"
SENTENCE = "the event log is append-only: this is not the next place"
CHECK = (
    "CREATE OR REPLACE FUNCTION events_check_order() RETURNS trigger LANGUAGE plpgsql AS"
    f" $$ BEGIN IF NEW.place <> ({NEXT}) THEN RAISE EXCEPTION '{SENTENCE}'"
    " USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"
)


def upgrade() -> None:
    """A trigger that compares the place of a new event with those that are there."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(CHECK)
        op.execute(
            "CREATE TRIGGER events_in_order BEFORE INSERT ON events"
            " FOR EACH ROW EXECUTE FUNCTION events_check_order()"
        )
        return
    op.execute(
        f"CREATE TRIGGER events_in_order BEFORE INSERT ON events WHEN NEW.place <> ({NEXT})"
        f" BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
    )


def downgrade() -> None:
    """There is no way back that keeps the log."""
    raise NotImplementedError("the event log is append-only")
