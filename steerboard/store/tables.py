"""The tables as this program reads and writes them; ``migrations`` is what creates them."""

from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables."""


class SessionRow(Base):
    """One person's sitting."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200))
    opened: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class EventRow(Base):
    """One thing done, at its place in the session."""

    __tablename__ = "events"
    session: Mapped[str] = mapped_column(ForeignKey("sessions.id"), primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    kind: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    schema_number: Mapped[int] = mapped_column(Integer)


class UploadRow(Base):
    """The bytes of a picture that a person brought to a session."""

    __tablename__ = "uploads"
    session: Mapped[str] = mapped_column(ForeignKey("sessions.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
