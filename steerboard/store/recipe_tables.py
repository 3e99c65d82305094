"""The tables of the team's recipes; their migration is what creates them."""

from datetime import datetime

from sqlalchemy import (
    DateTime,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, deferred, mapped_column

from steerboard.store.tables import Base

OWNER = ("tenant", "name", "version")
PLACES = tuple(f"recipes.{column}" for column in OWNER)


class RecipeRow(Base):
    """One version of a recipe."""

    __tablename__ = "recipes"
    tenant: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    author: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    digest: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    schema_number: Mapped[int] = mapped_column(Integer)


class RecipeEvidenceRow(Base):
    """One evidence run over one version: its head, and the whole of it compressed."""

    __tablename__ = "recipe_evidence"
    __table_args__ = (
        ForeignKeyConstraint(OWNER, PLACES),
        UniqueConstraint(*OWNER, "digest", name="recipe_evidence_once"),
    )
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(String(64))
    author: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    head: Mapped[str] = mapped_column(Text)
    # A list of recipes reads the heads alone.
    body: Mapped[bytes] = deferred(mapped_column(LargeBinary, nullable=False))
    schema_number: Mapped[int] = mapped_column(Integer)


class RecipeMarkRow(Base):
    """One version was published or withdrawn; the last mark holds."""

    __tablename__ = "recipe_marks"
    __table_args__ = (ForeignKeyConstraint(OWNER, PLACES),)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    author: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    kind: Mapped[str] = mapped_column(String(20))
