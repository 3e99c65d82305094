"""The sixteen pictures of the tiny house in every form that a set can have, but a folder."""

import csv
import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, object]


def rows(house: Path) -> list[Row]:
    lines = (house / "images" / "manifest.jsonl").read_text().splitlines()
    return [{**json.loads(line), "size": i / 10} for i, line in enumerate(lines)]


def as_jsonl(house: Path, out: Path) -> str:
    lines = [json.dumps({**r, "path": str(house / "images" / str(r["path"]))}) for r in rows(house)]
    (out / "set.jsonl").write_text("\n".join(lines))
    return str(out / "set.jsonl")


def as_csv(house: Path, out: Path) -> str:
    with open(out / "set.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split", "group", "size"])
        writer.writeheader()
        writer.writerows(rows(house))
    for path in (house / "images").glob("*.jpg"):
        (out / path.name).write_bytes(path.read_bytes())
    return str(out / "set.csv")


def as_parquet(house: Path, out: Path) -> str:
    place = as_csv(house, out).replace(".csv", ".parquet")
    pq.write_table(pa.Table.from_pylist(rows(house)), place)
    return place


def as_tar(house: Path, out: Path) -> str:
    for shard in range(2):
        with tarfile.open(out / f"shard-{shard}.tar", "w") as tar:
            for row in rows(house)[shard * 8 : shard * 8 + 8]:
                stem = str(row["path"]).removesuffix(".jpg")
                facts = {k: row[k] for k in ("split", "group", "size")}
                add(tar, f"{stem}.jpg", (house / "images" / f"{stem}.jpg").read_bytes())
                add(tar, f"{stem}.cls", str(row["label"]).encode())
                add(tar, f"{stem}.json", json.dumps(facts).encode())
    return str(out / "shard-*.tar")


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def as_arrow(house: Path, out: Path) -> str:
    """As ``datasets`` saves it: a stream, class numbers, and their names beside it."""
    names = ["boat", "cat", "dog", "horse"]
    held = [
        {
            "image": {
                "bytes": (house / "images" / str(r["path"])).read_bytes(),
                "path": str(r["path"]),
            },
            "label": names.index(str(r["label"])),
            "group": r["group"],
            "size": r["size"],
        }
        for r in rows(house)
    ]
    folder = out / "validation"
    folder.mkdir()
    table = pa.Table.from_pylist(held)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as stream:
        stream.write_table(table)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    (out / "dataset_dict.json").write_text('{"splits": ["validation"]}')
    return str(out)


def as_published_parquet(house: Path, out: Path) -> str:
    place = Path(as_arrow(house, out))
    path = place / "validation" / "data-00000-of-00001.arrow"
    table = pa.ipc.open_stream(path.read_bytes()).read_all()
    info = json.loads((path.parent / "dataset_info.json").read_text())
    for old in (path, path.parent / "dataset_info.json"):
        old.unlink()
    (place / "data").mkdir()
    held = {"huggingface": json.dumps({"info": info})}
    pq.write_table(
        table.replace_schema_metadata(held), place / "data/validation-00000-of-00001.parquet"
    )
    return str(place)


FORMS = [as_jsonl, as_csv, as_parquet, as_tar, as_arrow, as_published_parquet]
