"""Sessions as append-only event logs: SQLite by default, PostgreSQL by URL."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import (
    DDL,
    DateTime,
    ForeignKey,
    Integer,
    String,
    Text,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from steerboard.spec.errors import NotFound, Unavailable
from steerboard.store.events import EVENT, SCHEMA, Event

TRIES = 5  # two writers may want the same place in a log


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


# The log is append-only for whoever reaches the database, not only for this program.
for _verb in ("UPDATE", "DELETE"):
    _sqlite = DDL(
        f"CREATE TRIGGER IF NOT EXISTS events_no_{_verb.lower()} BEFORE {_verb} ON events"
        " BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END"
    )
    event.listen(EventRow.__table__, "after_create", _sqlite.execute_if(dialect="sqlite"))
_FUNCTION = DDL(
    "CREATE OR REPLACE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$"
)
_TRIGGER = DDL(
    "CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events"
    " FOR EACH ROW EXECUTE FUNCTION events_refuse()"
)
event.listen(EventRow.__table__, "after_create", _FUNCTION.execute_if(dialect="postgresql"))
event.listen(EventRow.__table__, "after_create", _TRIGGER.execute_if(dialect="postgresql"))


class Store:
    """Opens, appends to and reads sessions.

    Args:
        url: Such as ``sqlite:///folder/sessions.sqlite`` or ``postgresql+psycopg://...``.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(parsed, pool_pre_ping=True)
        try:
            Base.metadata.create_all(self._engine)
        except SQLAlchemyError as error:
            raise Unavailable(
                "the session database does not answer: check STEERBOARD_STORE"
            ) from error

    def open(self, subject: str = "anonymous") -> str:
        """A new session's id: unguessable, for it stands in a URL."""
        name = secrets.token_urlsafe(16)
        with Session(self._engine) as database, database.begin():
            database.add(SessionRow(id=name, subject=subject, opened=datetime.now(UTC)))
        return name

    def append(self, session: str, what: Event) -> int:
        """Write an event down; its place in the log. Raises NotFound for an unknown session."""
        body = json.dumps(what.model_dump(mode="json"))
        for _ in range(TRIES):
            try:
                with Session(self._engine) as database, database.begin():
                    self._require(database, session)
                    place = database.scalar(
                        select(func.max(EventRow.place)).where(EventRow.session == session)
                    )
                    following = 0 if place is None else place + 1
                    now = datetime.now(UTC)
                    database.add(
                        EventRow(
                            session=session,
                            place=following,
                            at=now,
                            kind=what.kind,
                            body=body,
                            schema_number=SCHEMA,
                        )
                    )
                return following
            except IntegrityError:
                continue
        raise Unavailable("the session is being written to by others: try again", retry_after_s=0.5)

    def events(self, session: str) -> list[Event]:
        """All events of a session, in order; raises NotFound."""
        with Session(self._engine) as database:
            self._require(database, session)
            rows = database.scalars(
                select(EventRow).where(EventRow.session == session).order_by(EventRow.place)
            )
            return [EVENT.validate_python(json.loads(row.body)) for row in rows]

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    def _require(self, database: Session, session: str) -> None:
        if database.get(SessionRow, session) is None:
            raise NotFound(
                f"there is no session {session!r}: open the page without it to begin anew"
            )
