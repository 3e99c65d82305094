"""Recipes with their versions, their evidence and their marks: append-only, beside the sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SENTENCE = "recipes are append-only: save a new version"
OWNER = ("tenant", "name", "version")
REFUSE = (
    "CREATE OR REPLACE FUNCTION recipes_refuse() RETURNS trigger LANGUAGE plpgsql AS"
    f" $$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$"
)
SAME = {
    "recipes": "rowid = NEW.rowid OR"
    " (tenant = NEW.tenant AND name = NEW.name AND version = NEW.version)",
    "recipe_evidence": "id = NEW.id OR (tenant = NEW.tenant AND name = NEW.name"
    " AND version = NEW.version AND digest = NEW.digest)",
    "recipe_marks": "id = NEW.id",
}


def upgrade() -> None:
    """Three tables, and triggers that refuse change to whoever reaches the database."""
    op.create_table(
        "recipes",
        sa.Column("tenant", sa.String(200), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        *said(),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("schema_number", sa.Integer, nullable=False),
    )
    op.create_table(
        "recipe_evidence",
        *owned(),
        *said(),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("head", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("schema_number", sa.Integer, nullable=False),
        sa.UniqueConstraint(*OWNER, "digest", name="recipe_evidence_once"),
        belongs(),
    )
    op.create_table(
        "recipe_marks",
        *owned(),
        *said(),
        sa.Column("kind", sa.String(20), nullable=False),
        belongs(),
    )
    if op.get_bind().dialect.name == "postgresql":
        refuse_in_postgresql()
    else:
        refuse_in_sqlite()


def said() -> tuple[sa.Column[str], sa.Column[object]]:
    """Who and when."""
    return (
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def owned() -> tuple[sa.Column[object], ...]:
    """A number of its own, and the recipe's key."""
    return (
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )


def belongs() -> sa.ForeignKeyConstraint:
    """To a version that is there."""
    return sa.ForeignKeyConstraint(OWNER, [f"recipes.{column}" for column in OWNER])


def refuse_in_postgresql() -> None:
    """No UPDATE, no DELETE, no TRUNCATE."""
    op.execute(REFUSE)
    for table in SAME:
        for verbs, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verbs.split()[0].lower()} BEFORE {verbs}"
                f" ON {table} FOR EACH {each} EXECUTE FUNCTION recipes_refuse()"
            )


def refuse_in_sqlite() -> None:
    """No UPDATE, no DELETE, and no REPLACE, which deletes without asking the DELETE trigger."""
    for table, same in SAME.items():
        for verb, when in (
            ("UPDATE", ""),
            ("DELETE", ""),
            ("INSERT", f" WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}{when}"
                f" BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
            )


def downgrade() -> None:
    """There is no way back that keeps the recipes."""
    raise NotImplementedError(SENTENCE)
