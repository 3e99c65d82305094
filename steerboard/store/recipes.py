"""A team's recipes: every version kept, with its author, its evidence and whether it is published.

Nothing is changed or deleted. Who saves under a name that is taken makes its next version, also
where two people do so in the same moment.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import func, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from steerboard.spec.errors import Forbidden, InvalidRequest, NotFound, Unavailable
from steerboard.spec.evidence import EVIDENCE_SCHEMA, Evidence
from steerboard.spec.recipe import RECIPE_SCHEMA, EvidenceNote, Recipe
from steerboard.store.recipe_rows import (
    Key,
    Mark,
    Ran,
    Saved,
    as_saved,
    check_author,
    ran_of,
    read,
    same,
)
from steerboard.store.recipe_tables import RecipeEvidenceRow, RecipeMarkRow, RecipeRow
from steerboard.store.schema import upgrade
from steerboard.store.store import open_engine, speaking

TRIES = 20  # people may save under one name at once
Rows = Sequence[dict[str, Any]]
Later = TypeVar("Later", RecipeEvidenceRow, RecipeMarkRow)
T = TypeVar("T")


class Recipes:
    """Saves and reads the recipes of one tenant.

    Args:
        url: The database of the sessions.
        tenant: Whose recipes; those of others are as if they were not there.
    """

    def __init__(self, url: str, tenant: str = "default") -> None:
        self._engine = open_engine(url)
        self._tenant = tenant
        with speaking():
            upgrade(self._engine)

    def save(self, recipe: Recipe, author: str) -> Saved:
        """Keep a recipe as the next version of its name; the newest again where it is the same.

        Raises:
            InvalidRequest: Nobody says who saves it.
        """
        check_author(author)
        key = self._insist(lambda database: self._save(database, recipe, author))
        kept = self.get(*key)
        # The same content may come with runs that were made elsewhere since.
        known = {note.digest for note in kept.recipe.evidence}
        fresh = [note for note in recipe.evidence if note.digest not in known]
        for note in fresh:
            self._insist(lambda database, n=note: self._note(database, key, n, None, (), author))  # type: ignore[misc]
        return self.get(*key) if fresh else kept

    def latest(self) -> list[Saved]:
        """The newest version of every name, last saved first."""
        with speaking(), Session(self._engine) as database:
            newest = self._newest(database)
            keys = [(self._tenant, *key) for key in newest.items()]
            place = tuple_(RecipeRow.tenant, RecipeRow.name, RecipeRow.version)
            rows = database.scalars(select(RecipeRow).where(place.in_(keys)))
            found = self._joined(database, rows.all(), newest)
        return sorted(found, key=lambda s: (s.at, s.recipe.name), reverse=True)

    def versions(self, name: str) -> list[Saved]:
        """Every version of a name, newest first; raises NotFound."""
        with speaking(), Session(self._engine) as database:
            rows = database.scalars(
                select(RecipeRow)
                .where(RecipeRow.tenant == self._tenant, RecipeRow.name == name)
                .order_by(RecipeRow.version.desc())
            ).all()
            if not rows:
                raise self._unknown(name)
            return self._joined(database, rows, {name: rows[0].version})

    def get(self, name: str, version: int | None = None) -> Saved:
        """One version, by default the newest; raises NotFound."""
        found = self.versions(name)
        wanted = found[0].newest if version is None else version
        for saved in found:
            if saved.recipe.version == wanted:
                return saved
        raise NotFound(
            f"recipe {name} has no version {wanted}: its newest is {found[0].newest}",
            field="version",
        )

    def note(
        self, key: Key, note: EvidenceNote, evidence: Evidence, rows: Rows, author: str
    ) -> None:
        """Keep an evidence run with its version; the same run again stands there once.

        Args:
            key: Name and version.
            note: The head of the run.
            evidence: The whole.
            rows: One for each picture.
            author: Who asked for it.

        Raises:
            NotFound: There is no such version.
            InvalidRequest: The run is about another recipe.
        """
        saved = self.get(*key)
        if evidence.recipe_digest != saved.recipe.digest:
            raise InvalidRequest(
                f"this evidence is about {evidence.recipe} with another content than"
                f" {saved.recipe.title} has here: run it on this version"
            )
        check_author(author)
        if note.digest not in {ran.note.digest for ran in saved.runs}:
            self._insist(lambda database: self._note(database, key, note, evidence, rows, author))

    def evidence(self, key: Key, run: str) -> tuple[Evidence, list[dict[str, Any]]]:
        """A run as a whole with its rows, by the digest of its evidence; raises NotFound."""
        with speaking(), Session(self._engine) as database:
            body = database.scalar(
                select(RecipeEvidenceRow.body).where(
                    *self._own(RecipeEvidenceRow, key), RecipeEvidenceRow.digest == run
                )
            )
        nothing: dict[str, Any] = {"evidence": None}
        record = json.loads(zlib.decompress(body)) if body else nothing
        if record["evidence"] is None:
            raise NotFound(
                f"recipe {key[0]} v{key[1]} has no evidence run {run[:12]} here: of runs that were"
                " made elsewhere only the head came along"
            )
        return Evidence.model_validate_json(json.dumps(record["evidence"])), record["rows"]

    def publish(self, key: Key, author: str) -> Saved:
        """Tell the team that a version may be relied on.

        Raises:
            Forbidden: There is no evidence from pictures that it was not chosen on.
        """
        saved = self.get(*key)
        if saved.recipe.status != "proven":
            raise Forbidden(
                f"recipe {saved.recipe.title} is unproven: run its evidence on at least one named"
                " image set that it was not chosen on, then publish",
                field="evidence",
            )
        return self._marked(saved, "published", author)

    def withdraw(self, key: Key, author: str) -> Saved:
        """Take a publication back; the version stays."""
        return self._marked(self.get(*key), "withdrawn", author)

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    def _marked(self, saved: Saved, kind: Mark, author: str) -> Saved:
        check_author(author)
        if saved.mark == kind or (kind == "withdrawn" and not saved.published):
            return saved
        key = saved.recipe.name, saved.recipe.version
        owner = dict(zip(("tenant", "name", "version"), (self._tenant, *key), strict=True))
        row = {"author": author, "at": datetime.now(UTC), "kind": kind}
        self._insist(lambda database: database.add(RecipeMarkRow(**owner, **row)))
        return self.get(*key)

    def _insist(self, write: Callable[[Session], T]) -> T:
        """Write in a transaction; again where somebody took the same place meanwhile."""
        for _ in range(TRIES):
            try:
                with speaking(), Session(self._engine) as database, database.begin():
                    return write(database)
            except IntegrityError:
                continue
        raise Unavailable("others are saving under the same name: try again", retry_after_s=0.5)

    def _save(self, database: Session, recipe: Recipe, author: str) -> Key:
        last = database.scalar(
            select(func.max(RecipeRow.version)).where(
                RecipeRow.tenant == self._tenant, RecipeRow.name == recipe.name
            )
        )
        if last is not None:
            held = database.get_one(RecipeRow, (self._tenant, recipe.name, last))
            if same(read(held), recipe):
                return recipe.name, last
        numbered = recipe.model_copy(update={"version": (last or 0) + 1})
        database.add(
            RecipeRow(
                tenant=self._tenant,
                name=numbered.name,
                version=numbered.version,
                author=author.strip(),
                at=datetime.now(UTC),
                digest=numbered.digest,
                body=numbered.model_dump_json(),
                schema_number=RECIPE_SCHEMA,
            )
        )
        return numbered.name, numbered.version

    def _note(
        self,
        database: Session,
        key: Key,
        note: EvidenceNote,
        evidence: Evidence | None,
        rows: Rows,
        author: str,
    ) -> None:
        whole = evidence.model_dump(mode="json") if evidence else None
        record = {"evidence": whole, "rows": list(rows)}
        net = evidence.overall.tango if evidence else None
        head = {"note": note.model_dump(mode="json"), "net": net}
        database.add(
            RecipeEvidenceRow(
                tenant=self._tenant,
                name=key[0],
                version=key[1],
                digest=note.digest,
                author=author.strip(),
                at=datetime.now(UTC),
                head=json.dumps(head),
                body=zlib.compress(json.dumps(record, allow_nan=False).encode()),
                schema_number=EVIDENCE_SCHEMA,
            )
        )

    def _newest(self, database: Session) -> dict[str, int]:
        rows = database.execute(
            select(RecipeRow.name, func.max(RecipeRow.version))
            .where(RecipeRow.tenant == self._tenant)
            .group_by(RecipeRow.name)
        )
        return {name: version for name, version in rows}

    def _joined(
        self, database: Session, rows: Iterable[RecipeRow], newest: dict[str, int]
    ) -> list[Saved]:
        """Rows with all that was later said of them, in two questions."""
        rows = list(rows)
        names = sorted({row.name for row in rows})
        runs: dict[Key, list[Ran]] = {}
        for run in self._said(database, RecipeEvidenceRow, names):
            runs.setdefault((run.name, run.version), []).append(ran_of(run))
        marks = {(m.name, m.version): m.kind for m in self._said(database, RecipeMarkRow, names)}
        keys = [(row.name, row.version) for row in rows]
        return [
            as_saved(row, newest[row.name], runs.get(key, []), marks.get(key))
            for key, row in zip(keys, rows, strict=True)
        ]

    def _said(self, database: Session, kind: type[Later], names: Sequence[str]) -> Iterable[Later]:
        """What was later said of these names, in order."""
        own = select(kind).where(kind.tenant == self._tenant, kind.name.in_(names))
        return database.scalars(own.order_by(kind.id)).all()

    def _own(self, kind: type[RecipeEvidenceRow], key: Key) -> tuple[Any, ...]:
        return kind.tenant == self._tenant, kind.name == key[0], kind.version == key[1]

    def _unknown(self, name: str) -> NotFound:
        with Session(self._engine) as database:
            known = sorted(self._newest(database))
        some = ", ".join(known[:8]) + (" and more" if len(known) > 8 else "")
        return NotFound(
            f"there is no recipe {name[:80]!r} here; there is {some or 'none yet'}", field="name"
        )
