"""What people say of features: append-only, beside the sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SENTENCE = "what people say of features is append-only"
REFUSE = (
    "CREATE OR REPLACE FUNCTION feature_labels_refuse() RETURNS trigger LANGUAGE plpgsql AS"
    f" $$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$"
)


def upgrade() -> None:
    """A table, and triggers that refuse change to whoever reaches the database."""
    op.create_table(
        "feature_labels",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dictionary", sa.String(64), nullable=False),
        sa.Column("feature", sa.Integer, nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.create_index("feature_labels_by_feature", "feature_labels", ["dictionary", "feature"])
    if op.get_bind().dialect.name == "postgresql":
        refuse_in_postgresql()
    else:
        refuse_in_sqlite()


def refuse_in_postgresql() -> None:
    """No UPDATE, no DELETE, no TRUNCATE."""
    op.execute(REFUSE)
    for verbs, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER feature_labels_no_{verbs.split()[0].lower()} BEFORE {verbs}"
            f" ON feature_labels FOR EACH {each} EXECUTE FUNCTION feature_labels_refuse()"
        )


def refuse_in_sqlite() -> None:
    """No UPDATE, no DELETE, and no REPLACE, which deletes without asking the DELETE trigger."""
    for verb, when in (
        ("UPDATE", ""),
        ("DELETE", ""),
        ("INSERT", " WHEN EXISTS (SELECT 1 FROM feature_labels WHERE id = NEW.id)"),
    ):
        op.execute(
            f"CREATE TRIGGER feature_labels_no_{verb.lower()} BEFORE {verb} ON feature_labels{when}"
            f" BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
        )


def downgrade() -> None:
    """There is no way back that keeps what was said."""
    raise NotImplementedError(SENTENCE)
