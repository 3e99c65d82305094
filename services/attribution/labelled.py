"""The steps of jobs that tell labelled pictures apart: responses first, then every unit at once.

Responses of a chunk are its rows; the closing chunk lays them into files of the job's own folder,
some chunks at a step, and the last step reads those back as one sparse matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from scipy import sparse

from services.attribution.results import Rows
from services.attribution.tools import Sent, State, Tools, held
from steerboard.analysis.expertise import expertise
from steerboard.analysis.probe import difference_of_means, logistic
from steerboard.analysis.responses import Place, Row, answers, count, question, strongest
from steerboard.catalogue.shards import Shards
from steerboard.spec.errors import InvalidRequest, SteerboardError
from steerboard.spec.jobs import AttributeSetJob
from steerboard.spec.requests import Encode, ImageRef
from steerboard.spec.runner import Runner

AT_ONCE, FULL_AT_ONCE = 64, 16  # chunks that a closing step reads: of what fires, of all units
LISTED = 4096
MOST = 2**22  # responses of all units to all pictures: sorted in half of what a step may take
WORK = "responses"


@dataclass(frozen=True)
class Answered:
    """A picture's responses, and how many units were asked about."""

    row: Row
    width: int


def place(spec: AttributeSetJob) -> Place:
    """Whose responses are asked for."""
    return Place(spec.dictionary, spec.units, spec.site, spec.directions, spec.tokens)


def answered(
    spec: AttributeSetJob, items: Sequence[Sent], runner: Runner
) -> list[Answered | SteerboardError]:
    """Which units answer to each picture, and how strongly; or the picture's error.

    Raises:
        InvalidRequest: The model has no such units, or too many for so many pictures.
    """
    good = tuple(item for item in items if not isinstance(item, SteerboardError))
    found = iter(asked(spec, good, runner) if good else ())
    return [item if isinstance(item, SteerboardError) else next(found) for item in items]


def asked(
    spec: AttributeSetJob, images: tuple[ImageRef, ...], runner: Runner
) -> list[Answered | SteerboardError]:
    """The same of pictures that can be sent."""
    where = place(spec)
    if where.coded:
        codes = runner.encode(Encode(model=spec.model, images=images, dictionary=spec.dictionary))
        return [
            item if isinstance(item, SteerboardError) else Answered(strongest(item), item.shape[1])
            for item in codes.items
        ]
    width = count(runner.model(spec.model), where)
    check_room(spec, width)
    found = runner.attribute(question(spec.model, where, images, spec.classifier))
    return [
        item if isinstance(item, SteerboardError) else Answered(answers(where, item[0]), width)
        for item in found.items
    ]


def check_room(spec: AttributeSetJob, width: int) -> None:
    """Refuse more than can be put together; of features few answer to each picture."""
    if spec.units != "feature" and width * len(spec.images) > MOST:
        raise InvalidRequest(
            f"{width} {spec.units}s of {len(spec.images)} pictures are too many to be told apart:"
            f" ask of at most {MOST // width} pictures",
            field="images",
        )


def plain(found: Answered | SteerboardError) -> State:
    """A picture's responses as JSON."""
    if isinstance(found, SteerboardError):
        return {"error": found.message, "reason": found.reason}
    units, values = found.row
    return {"features": units.tolist(), "values": values.tolist(), "width": found.width}


def gathered(spec: AttributeSetJob, count: int, state: State, tools: Tools) -> State:
    """Some more chunks laid down; behind the last of them the answer."""
    work, start = Shards(f"{tools.folder}/{WORK}", ""), state.get("chunks", 0)
    if start == count:
        return {"chunks": count, **told_apart(spec, [work.get(n) for n in state["parts"]])}
    stop = min(count, start + (AT_ONCE if spec.units == "feature" else FULL_AT_ONCE))
    rows = [row for part in held(tools.finished(range(start, stop))) for row in part]
    name = f"part-{stop}"
    work.put(name, packed(rows))
    return {"chunks": stop, "parts": [*state.get("parts", []), name]}


def packed(rows: Rows) -> bytes:
    """Responses of some pictures as a file; those of a bad picture are empty."""
    empty: list[float] = []
    lists = [(r.get("features", empty), r.get("values", empty)) for r in rows]
    file = BytesIO()
    np.savez_compressed(
        file,
        lengths=np.array([len(f) for f, _ in lists], np.int64),
        features=np.concatenate([np.array(f, np.int64) for f, _ in lists]),
        values=np.concatenate([np.array(v, np.float32) for _, v in lists]),
        width=np.array(max((r.get("width", 0) for r in rows), default=0)),
        good=np.array(["error" not in r for r in rows]),
    )
    return file.getvalue()


def told_apart(spec: AttributeSetJob, files: Sequence[bytes]) -> State:
    """What a method says of every unit, from the responses of all pictures."""
    parts = [np.load(BytesIO(data), allow_pickle=False) for data in files]
    joined = {n: np.concatenate([p[n] for p in parts]) for n in ("lengths", "features", "values")}
    good = np.concatenate([p["good"] for p in parts])
    shape = (len(good), max(int(p["width"]) for p in parts))
    starts = np.concatenate([[0], np.cumsum(joined["lengths"])])
    whole = sparse.csr_array((joined["values"], joined["features"], starts), shape=shape)
    labels = np.array(spec.labels)[good]
    found = {"pictures": int(good.sum()), "failed": int((~good).sum())}
    return found | scores(spec.method, whole[good].tocsc(), labels)


def scores(method: str, responses: sparse.csc_array, labels: np.ndarray) -> State:
    """The best units first, called features as in every answer.

    Raises:
        InvalidRequest: One kind of pictures is left over.
    """
    if method == "expertise":
        found = expertise(responses, labels)
        columns = {"precision": found.precision, "auroc": found.auroc}
        more = {"prevalence": found.prevalence}
        order = found.best(LISTED)
    else:
        weights, bias = logistic(responses, labels)
        columns = {"weight": weights, "difference": difference_of_means(responses, labels)}
        more = {"bias": bias}
        order = np.argsort(-np.abs(weights), kind="stable")[:LISTED]
    rows = [{"feature": int(f), **{n: float(c[f]) for n, c in columns.items()}} for f in order]
    return {**more, "features": rows}


def summary(state: State) -> State:
    """The result of the closing chunk."""
    return {name: value for name, value in state.items() if name != "chunks"}
