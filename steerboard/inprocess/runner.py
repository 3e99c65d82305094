"""The Runner of this process: questions in, numpy out; the kernel does the heavy part."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from steerboard.inprocess.active import Actives
from steerboard.inprocess.check_attribute import check_attribute
from steerboard.inprocess.config import read_config
from steerboard.inprocess.effects import measured_effects, predict_effects
from steerboard.inprocess.encoding import encoded
from steerboard.inprocess.explain import explain
from steerboard.inprocess.kernel import DirectKernel, Kernel, Row
from steerboard.inprocess.nearness import nearest
from steerboard.inprocess.pictures import Pictures
from steerboard.inprocess.readout import Heads
from steerboard.inprocess.residence import Residence
from steerboard.inprocess.served import ServedModel, serve
from steerboard.inprocess.targets import Aim, aims, check_measurable, check_targets
from steerboard.model.check import check_steer_set, dictionary_of
from steerboard.model.placement import choose
from steerboard.spec.answers import (
    Answer,
    Attribution,
    Code,
    Embedding,
    Floats,
    Neighbours,
    Prediction,
    Provenance,
    Steered,
    Timing,
)
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.edits import SteerSet
from steerboard.spec.errors import NotFound, Overloaded, SteerboardError
from steerboard.spec.requests import Attribute, Embed, Encode, ImageRef, Predict, Steer

T = TypeVar("T")
AHEAD = 2  # questions of streams in hand: one is computed, another decoded
Question = Predict | Steer | Attribute | Encode | Embed


@dataclass(frozen=True)
class Begun:
    """A ``Predict`` of which only the embeddings of ``rows`` are to be computed yet."""

    served: ServedModel
    rows: list[Row]
    finish: Callable[[Tensor], Answer[Prediction]]


class LocalRunner:
    """Answers in this process; satisfies ``steerboard.spec.runner.Runner``.

    Args:
        served: Models by name.
        kernel: Who computes; by default at once, in the calling thread.
        version: Told in every answer's provenance.
        pictures: Where pictures are decoded and remembered.
        residence: Which models are on the device; by default all of them stay.
    """

    def __init__(
        self,
        served: dict[str, ServedModel],
        kernel: Kernel | None = None,
        version: str = "",
        pictures: Pictures | None = None,
        residence: Residence | None = None,
    ) -> None:
        self._served = served
        self._kernel = kernel or DirectKernel()
        self._version = version
        self._pictures = pictures or Pictures()
        self._residence = residence or Residence()
        self._heads = Heads(self._kernel, self._residence)
        self._actives = Actives()
        self._ahead = ThreadPoolExecutor(AHEAD, "stream")

    def models(self) -> tuple[ModelInfo, ...]:
        """All models."""
        return tuple(self.model(name) for name in self._served)

    def model(self, name: str) -> ModelInfo:
        """One model; raises NotFound."""
        served = self._find(name)
        here = self._residence.here(served.weights)
        info = served.info
        return info if info.loaded == here else info.model_copy(update={"loaded": here})

    def predict(self, request: Predict) -> Answer[Prediction]:
        """Logits and probabilities of each image."""
        served = self._find(request.model)
        head = self._heads.of(served, request.classifier)

        def compute(rows: list[Row]) -> list[Prediction]:
            return head.predictions(self._kernel.embed(served, rows))

        return self._answer(served, request.images, compute)

    def begin(self, request: Predict) -> Begun | None:
        """``predict`` up to the kernel's part; None where something else takes time as well.

        Raises what ``predict`` raises.
        """
        served, start = self._find(request.model), time.perf_counter()
        known = self._heads.at_hand(served, request.classifier)
        here = self._residence.stays(served.weights)
        if not (known and here and self._pictures.at_hand(served, request.images)):
            return None
        head = self._heads.of(served, request.classifier)
        rows = self._pictures.rows(served, request.images)
        good = [row for row in rows if isinstance(row, Row)]

        def finish(embeddings: Tensor) -> Answer[Prediction]:
            return self._joined(served, rows, head.predictions(embeddings), start)

        return Begun(served, good, finish) if good else None

    def steer(self, request: Steer) -> Answer[Steered]:
        """The clean answer and one for each steer set, of each image."""
        served = self._find(request.model)
        for k, steer_set in enumerate(request.steer_sets):
            check_steer_set(served.info, steer_set, f"steer_sets[{k}]")
        head = self._heads.of(served, request.classifier)
        check_targets(head, request.targets)
        check_measurable(request.targets)
        sets = (SteerSet(), *request.steer_sets)

        def compute(rows: list[Row]) -> list[Steered]:
            out = self._kernel.embed(served, [replace(row, steer=s) for row in rows for s in sets])
            out = out.view(len(rows), len(sets), -1)
            said = [head.predictions(part) for part in out]
            frozen = aims(head, request.targets, [clean for clean, *_ in said])
            predicted = predict_effects(
                served, self._kernel, rows, frozen, out[:, 0], request.steer_sets
            )
            return [steered(*each) for each in zip(out, said, frozen, predicted, strict=True)]

        return self._answer(served, request.images, compute)

    def attribute(self, request: Attribute) -> Answer[tuple[Attribution, ...]]:
        """For each image one attribution a target."""
        served = self._find(request.model)
        check_attribute(served, request)
        head = self._heads.of(served, request.classifier)
        check_targets(head, request.targets)

        def compute(rows: list[Row]) -> list[tuple[Attribution, ...]]:
            steered = [replace(row, steer=request.steer) for row in rows]
            return explain(served, self._kernel, head, steered, request, self._actives)

        return self._answer(served, request.images, compute, request.dictionary)

    def encode(self, request: Encode) -> Answer[Code]:
        """The sparse code of each image, with its embedding where that is asked for."""
        served = self._find(request.model)
        dictionary = dictionary_of(served.info, request.dictionary)
        sae = served.books[request.dictionary]

        def compute(rows: list[Row]) -> list[Code]:
            x, embeddings = self._passed(served, rows, dictionary.site, request.embed)
            alive = served.editor.layout.lives(sae.tokens, x.shape[1]).to(x.device)
            codes = encoded(sae, x, alive)
            return [replace(c, embedding=e) for c, e in zip(codes, embeddings, strict=True)]

        return self._answer(served, request.images, compute, request.dictionary)

    def _passed(
        self, served: ServedModel, rows: list[Row], site: str, on: bool
    ) -> tuple[Tensor, Sequence[Floats | None]]:
        """Activations ``[n, t, d]`` at a site, and embeddings where the pass is to go ``on``."""
        if not on:
            return self._kernel.read(served, rows, site), [None] * len(rows)
        x, embeddings = self._kernel.through(served, rows, site)
        return x, [e.numpy() for e in embeddings]

    def embed(self, request: Embed) -> Answer[Embedding]:
        """The embedding of each image or text."""
        served = self._find(request.model)
        if request.texts:
            start = time.perf_counter()
            values = self._heads.texts(served, request.texts)
            items = tuple(Embedding(v.numpy()) for v in values)
            return Answer(items, self._provenance(served), elapsed(start, len(items)))

        def compute(rows: list[Row]) -> list[Embedding]:
            return [Embedding(e.numpy()) for e in self._kernel.embed(served, rows)]

        return self._answer(served, request.images, compute)

    def stream(
        self, questions: Iterable[Question]
    ) -> Iterator[tuple[int, Answer[Any] | SteerboardError]]:
        """Number (from 0) and answer of each question; one that fails gives its error.

        While one is computed the next is decoded, and whoever asks works with the one before.
        """
        hand: deque[Future[Answer[Any] | SteerboardError]] = deque()
        number = count()
        try:
            for question in questions:
                hand.append(self._ahead.submit(self._attempt, question))
                if len(hand) > AHEAD:
                    yield next(number), hand.popleft().result()
            while hand:
                yield next(number), hand.popleft().result()
        finally:
            for waiting in hand:
                waiting.cancel()

    def _attempt(self, question: Question) -> Answer[Any] | SteerboardError:
        asks: dict[type[Any], Callable[[Any], Answer[Any]]] = {
            Predict: self.predict,
            Steer: self.steer,
            Attribute: self.attribute,
            Encode: self.encode,
            Embed: self.embed,
        }
        try:
            return asks[type(question)](question)
        except SteerboardError as error:
            return error

    def directions(self, model: str, dictionary: str) -> Floats:
        """Decoder rows ``[f, d]`` of a dictionary, in its normalised units; raises NotFound."""
        served = self._find(model)
        rows: Floats = served.books[dictionary_of(served.info, dictionary).id].W_dec.cpu().numpy()
        return rows

    def nearest(
        self, model: str, dictionary: str, features: Sequence[int], count: int = 8
    ) -> Neighbours:
        """The features whose decoder rows point most nearly the same way; see ``Near``."""
        served = self._find(model)
        book = served.books[dictionary_of(served.info, dictionary).id]
        with self._residence.using(served.weights):
            return nearest(book, features, count)

    def close(self) -> None:
        """End the threads that decode and answer streams."""
        self._ahead.shutdown()
        self._pictures.close()

    def _find(self, name: str) -> ServedModel:
        if name not in self._served:
            raise NotFound(
                f"there is no model {name!r} here; there is {', '.join(self._served)}",
                field="model",
            )
        return self._served[name]

    def _answer(
        self,
        served: ServedModel,
        images: Sequence[ImageRef],
        compute: Callable[[list[Row]], list[T]],
        dictionary: str = "",
    ) -> Answer[T]:
        """Compute for the images that decode; the others keep their own error in their place."""
        start = time.perf_counter()
        rows = self._pictures.rows(served, images)
        good = [row for row in rows if isinstance(row, Row)]
        results = self._computed(served, compute, good) if good else []
        return self._joined(served, rows, results, start, dictionary)

    def _joined(
        self,
        served: ServedModel,
        rows: Sequence[Row | SteerboardError],
        results: list[T],
        start: float,
        dictionary: str = "",
    ) -> Answer[T]:
        """Results in their pictures' places, beside the errors of the others."""
        left = iter(results)
        items = tuple(row if isinstance(row, SteerboardError) else next(left) for row in rows)
        return Answer(items, self._provenance(served, dictionary), elapsed(start, len(results)))

    def _computed(
        self, served: ServedModel, compute: Callable[[list[Row]], list[T]], rows: list[Row]
    ) -> list[T]:
        """Compute while the model is on the device; the kernel has its own way out of memory."""
        try:
            with self._residence.using(served.weights):
                return compute(rows)
        except torch.OutOfMemoryError as error:
            raise Overloaded(
                "there is no memory for this question now: ask for fewer pictures, or later",
                retry_after_s=5.0,
            ) from error

    def _provenance(self, served: ServedModel, dictionary: str = "") -> Provenance:
        info = served.info
        found = info.dictionary(dictionary)
        return Provenance(
            info.id,
            info.fingerprint,
            dictionary,
            found.fingerprint if found else "",
            self._version,
            info.precision,
        )


def steered(
    embeddings: Tensor, said: list[Prediction], aims: Sequence[Aim], predicted: Floats
) -> Steered:
    """One image's answer from its embeddings ``[1 + k, e]``, the clean one first."""
    clean, *moved = said
    targets = tuple(aim.resolved for aim in aims)
    return Steered(clean, tuple(moved), targets, predicted, measured_effects(aims, embeddings))


def elapsed(start: float, rows: int) -> Timing:
    """Milliseconds since ``start``."""
    return Timing(computed_ms=1000 * (time.perf_counter() - start), batch_rows=rows)


def open_local(
    path: str | Path, version: str, device: str = "auto", precision: str = "float32"
) -> LocalRunner:
    """Load everything that a ``steerboard.yaml`` names; see ``steerboard.local``."""
    config, base = read_config(Path(path))
    placement = choose(device, precision)
    residence = Residence()
    served = {
        name: serve(name, one, base, version, placement, residence)
        for name, one in config.models.items()
    }
    return LocalRunner(served, version=version, residence=residence)
