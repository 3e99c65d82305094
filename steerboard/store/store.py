"""Sessions as append-only event logs: SQLite by default, PostgreSQL by URL."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from steerboard.spec.base import Spec
from steerboard.spec.digest import image_digest
from steerboard.spec.errors import InvalidRequest, NotFound, SteerboardError, Unavailable
from steerboard.store.events import EVENT, SCHEMA, Event
from steerboard.store.schema import upgrade
from steerboard.store.tables import EventRow, SessionRow, UploadRow

TRIES = 20  # writers of one session may want the same place in its log


class SessionInfo(Spec):
    """A session as the list of them shows it; ``opened`` in UTC."""

    id: str
    subject: str
    opened: datetime
    events: int


class Store:
    """Opens, appends to and reads sessions.

    Args:
        url: Such as ``sqlite:///folder/sessions.sqlite`` or ``postgresql+psycopg://...``.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        with speaking():
            upgrade(self._engine)

    def open(self, subject: str = "anonymous") -> str:
        """A new session's id: unguessable, for it stands in a URL."""
        name = secrets.token_urlsafe(16)
        with speaking(), Session(self._engine) as database, database.begin():
            database.add(SessionRow(id=name, subject=subject, opened=datetime.now(UTC)))
        return name

    def append(self, session: str, what: Event) -> int:
        """Write an event down; its place in the log. Raises NotFound for an unknown session."""
        for _ in range(TRIES):
            try:
                with speaking():
                    return self._append(session, what)
            except IntegrityError:
                continue
        raise Unavailable("the session is being written to by others: try again", retry_after_s=0.5)

    def events(self, session: str) -> list[Event]:
        """All events of a session, in order; raises NotFound."""
        with speaking(), Session(self._engine) as database:
            require(database, session)
            rows = database.scalars(
                select(EventRow).where(EventRow.session == session).order_by(EventRow.place)
            )
            return [read(row) for row in rows]

    def sessions(self, subject: str) -> list[SessionInfo]:
        """A person's sessions, newest first."""
        wanted = (
            select(SessionRow, func.count(EventRow.place))
            .outerjoin(EventRow, EventRow.session == SessionRow.id)
            .where(SessionRow.subject == subject)
            .group_by(SessionRow.id)
            .order_by(SessionRow.opened.desc(), SessionRow.id)
        )
        with speaking(), Session(self._engine) as database:
            return [
                SessionInfo(id=row.id, subject=row.subject, opened=utc(row.opened), events=count)
                for row, count in database.execute(wanted)
            ]

    def keep(self, session: str, data: bytes) -> str:
        """Keep an uploaded picture with its session; the digest of its bytes."""
        sha256 = image_digest(data)
        try:
            with speaking(), Session(self._engine) as database, database.begin():
                require(database, session)
                if database.get(UploadRow, (session, sha256)) is None:
                    database.add(UploadRow(session=session, sha256=sha256, data=data))
        except IntegrityError:
            pass  # another tab kept the same bytes meanwhile
        return sha256

    def upload(self, session: str, sha256: str) -> bytes | None:
        """The bytes of a picture kept with a session, or None."""
        with speaking(), Session(self._engine) as database:
            row = database.get(UploadRow, (session, sha256))
            return None if row is None else row.data

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    def _append(self, session: str, what: Event) -> int:
        with Session(self._engine) as database, database.begin():
            require(database, session)
            last = select(func.max(EventRow.place)).where(EventRow.session == session)
            place = database.scalar(last)
            row = EventRow(
                session=session,
                place=0 if place is None else place + 1,
                at=datetime.now(UTC),
                kind=what.kind,
                body=json.dumps(what.model_dump(mode="json")),
                schema_number=SCHEMA,
            )
            database.add(row)
            return row.place


def open_engine(url: str) -> Engine:
    """The engine behind a URL; SQLite's folder is made. Raises InvalidRequest."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise InvalidRequest(
            "STEERBOARD_STORE is no database address that can be used: write"
            " sqlite:///folder/sessions.sqlite or postgresql+psycopg://user@host/name"
        ) from error
    except OSError as error:
        raise Unavailable(
            f"the folder of the session database cannot be made ({error.strerror}):"
            " check STEERBOARD_STORE"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", be_strict)
    return engine


def be_strict(connection: Any, _record: Any) -> None:
    """SQLite, at each connection: keys are checked, and a REPLACE asks the DELETE trigger."""
    for pragma in ("foreign_keys", "recursive_triggers"):
        connection.execute(f"PRAGMA {pragma} = ON")


@contextmanager
def speaking() -> Iterator[None]:
    """What the database refuses, as a sentence; a place that is taken stays an IntegrityError."""
    try:
        yield
    except (IntegrityError, SteerboardError):
        raise
    except SQLAlchemyError as error:
        raise Unavailable(
            "the session database does not answer: check STEERBOARD_STORE", retry_after_s=1.0
        ) from error


def require(database: Session, session: str) -> None:
    """Raises NotFound where the session is unknown."""
    if database.get(SessionRow, session) is None:
        raise NotFound(f"there is no session {session!r}: open the page without it to begin anew")


def read(row: EventRow) -> Event:
    """An event as it was written; raises InvalidRequest for one that this version cannot read."""
    try:
        return EVENT.validate_python(json.loads(row.body))
    except ValidationError as error:
        raise InvalidRequest(f"event {row.place} of this session {wrong(row, error)}") from error


def wrong(row: EventRow, error: ValidationError) -> str:
    """Why an event cannot be read, and what to do."""
    if row.schema_number > SCHEMA:
        return (
            f"has schema {row.schema_number}, and this version reads up to {SCHEMA}:"
            " update Steerboard"
        )
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"holds what cannot be ({place}: {first['msg']}): begin a new session"


def utc(moment: datetime) -> datetime:
    """SQLite forgets the time zone; what was written is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
