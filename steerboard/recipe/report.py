"""An evidence run as one HTML file that stands alone, as JSON, and its rows as Parquet."""

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, ImageOps

from steerboard.analysis.evidence.pictures import Picture, PictureSet
from steerboard.analysis.evidence.rows import Row
from steerboard.recipe.changes import op_of, place_of
from steerboard.recipe.drawings import Mark, price, rates
from steerboard.recipe.files import as_record
from steerboard.spec.errors import Unavailable
from steerboard.spec.evidence import EVIDENCE_SCHEMA, Detection, Evidence, Spread
from steerboard.spec.recipe import Recipe

THUMB = 160  # pixels, the longer side
CONCEPTS = 12
SEEN = 5e-5  # of an AUROC


def write_report(
    folder: Path, recipe: Recipe, evidence: Evidence, rows: Sequence[Row], images: PictureSet
) -> None:
    """``report.html``, ``evidence.json`` and ``rows.parquet`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(html(recipe, evidence, thumbnails(evidence, images)))
    (folder / "evidence.json").write_text(json.dumps(as_json(recipe, evidence), indent=1) + "\n")
    write_rows(folder / "rows.parquet", evidence, rows)


def as_json(recipe: Recipe, evidence: Evidence) -> dict[str, Any]:
    """Evidence and recipe with the schema's number and the content digest."""
    return {
        "schema": EVIDENCE_SCHEMA,
        "digest": evidence.digest,
        "evidence": evidence.model_dump(mode="json"),
        "recipe": as_record(recipe),
    }


def write_rows(path: Path, evidence: Evidence, rows: Sequence[Row]) -> None:
    """One line a picture; the metadata say which run it was. Raises Unavailable."""
    with path.open("wb") as file:
        row_table(file, evidence, [asdict(row) for row in rows])


def row_table(file: IO[bytes], evidence: Evidence, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as Parquet; raises Unavailable where pyarrow is missing."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise Unavailable(
            "rows are kept as Parquet, which needs pyarrow: pip install pyarrow"
        ) from error
    # What came as JSON has its fields in another order.
    names = [field.name for field in fields(Row)]
    table = pa.Table.from_pylist([{name: row[name] for name in names} for row in rows])
    facts = {"schema": str(EVIDENCE_SCHEMA), "evidence": evidence.digest, "recipe": evidence.recipe}
    known = {f"steerboard.{key}": value for key, value in facts.items()}
    pq.write_table(table.replace_schema_metadata(known), file)


def html(recipe: Recipe, evidence: Evidence, pictures: dict[str, str]) -> str:
    """The page; ``pictures`` are data addresses by key."""
    pages = Environment(
        loader=PackageLoader("steerboard.recipe", "."), autoescape=True, undefined=StrictUndefined
    )
    shown = {x.key: pictures.get(x.key, "") for x in (*evidence.best, *evidence.worst)}
    page: str = pages.get_template("report.html.j2").render(
        e=evidence,
        recipe=recipe,
        pictures=shown,
        rates=rates(marks(evidence)),
        price=price(evidence.sweep) if evidence.sweep else "",
        spreads=spreads(evidence),
        detection=most_changed(evidence.detection),
        edits=[(place_of(e), op_of(e)) for e in recipe.steer.edits],
        recipe_json=json.dumps(as_record(recipe), indent=1),
        evidence_json=json.dumps(evidence.model_dump(mode="json"), indent=1),
    )
    return page


def marks(evidence: Evidence) -> list[Mark]:
    """The recipe's rates, then those of its controls."""
    found = [
        Mark("fixed by the recipe", evidence.failing, "good"),
        Mark("no longer the wrong class", evidence.gone),
    ]
    found += [Mark(f"fixed: {c.name}", c.fix_rate) for c in evidence.controls]
    found.append(Mark("broken by the recipe", evidence.right, "bad"))
    found += [Mark(f"broken: {c.name}", c.break_rate) for c in evidence.controls]
    return found


def spreads(evidence: Evidence) -> list[tuple[str, Spread]]:
    """The quantities of the ripple by name."""
    ripple = evidence.ripple
    found = [
        ("KL over the other classes (nats)", ripple.kl),
        ("total variation over the other classes", ripple.tv),
        ("embedding: 1 − cosine", ripple.drift),
    ]
    if ripple.wide_kl is not None and ripple.wide_tv is not None:
        found.insert(2, (f"KL over {ripple.wide_words} words (nats)", ripple.wide_kl))
        found.insert(3, (f"total variation over {ripple.wide_words} words", ripple.wide_tv))
    return found


def most_changed(found: Iterable[Detection]) -> list[Detection]:
    """The concepts whose detection changed most, of those where four digits show it."""
    moved = (d for d in found if abs(d.after - d.before) >= SEEN)
    ranked = sorted(moved, key=lambda d: -abs(d.after - d.before))
    return ranked[:CONCEPTS]


def thumbnails(evidence: Evidence, images: PictureSet) -> dict[str, str]:
    """The pictures of best fixes and worst breaks as data addresses."""
    wanted = {x.key for x in (*evidence.best, *evidence.worst)}
    return {p.key: thumbnail(p) for p in images if p.key in wanted}


def thumbnail(picture: Picture) -> str:
    """A small JPEG inside an address; empty for a picture that cannot be drawn."""
    out = io.BytesIO()
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(picture.data))).convert("RGB")
        image.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
        image.save(out, "JPEG", quality=85)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
