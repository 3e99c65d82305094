"""From a ``steerboard.yaml`` to a Runner behind the batching engine, warmed."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import steerboard
from services.inference.engine.batching import BatchingKernel
from services.inference.engine.memory import TELLING, Memory
from services.inference.engine.ticket import current
from steerboard.inprocess.config import read_config
from steerboard.inprocess.crew import Crew
from steerboard.inprocess.kept import KEPT, Kept
from steerboard.inprocess.kernel import CACHE_BYTES, DirectKernel
from steerboard.inprocess.pictures import Pictures
from steerboard.inprocess.residence import Residence
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import ServedModel, serve
from steerboard.inprocess.traced import Traced
from steerboard.model.placement import HOST, Placement
from steerboard.spec.capabilities import DictionaryInfo, ModelInfo
from steerboard.spec.edits import Edit, Feature, Scale, SteerSet
from steerboard.spec.requests import Attribute, Classifier, Pixels, Predict, Prompts, Steer
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hosting:
    """Where and how models are kept.

    ``device_bytes`` bounds the weights on the device, None does not; ``cache_bytes`` what was
    computed of pictures. ``lazy`` models go to the device when they are first asked for. ``kept``
    holds activations of whole sets on disk.
    """

    placement: Placement = HOST
    device_bytes: int | None = None
    cache_bytes: int = CACHE_BYTES
    lazy: bool = False
    kept: Kept | None = None


SIMPLE = Hosting()


def load_runner(config: Path, hosting: Hosting = SIMPLE) -> tuple[LocalRunner, BatchingKernel]:
    """All models of the file, checked and loaded, and the engine that serves them."""
    found, base = read_config(config)
    version, placement = steerboard.__version__, hosting.placement
    residence = Residence(hosting.device_bytes, lambda: current().check())
    served: dict[str, ServedModel] = {}
    for name, one in found.models.items():
        served[name] = serve(name, one, base, version, placement, residence)
        if hosting.lazy and (weights := served[name].weights):
            residence.release(weights)
    _LOG.info("computing on %s in %s", placement.device, placement.precision)
    return behind_engine(served, version, residence, hosting.cache_bytes, hosting.kept)


def behind_engine(
    served: dict[str, ServedModel],
    version: str,
    residence: Residence | None = None,
    cache_bytes: int = CACHE_BYTES,
    kept: Kept | None = None,
) -> tuple[LocalRunner, BatchingKernel]:
    """A Runner whose rows wait in the engine's queue, and whose pictures are each tenant's own."""
    inner = DirectKernel(cache_bytes, crew=Crew(shares=True), kept=kept)
    if kept is not None:
        served = {name: told(model) for name, model in served.items()}
    served = {name: swift(model) for name, model in served.items()}
    devices = [model.placement.device for model in served.values()]
    memory = Memory(devices[0] if devices else None)
    kernel = BatchingKernel(inner, memory=memory, make_room=inner.cache.clear)
    known = (kept.holds,) if kept is not None else ()
    pictures = Pictures(lambda: current().tenant, lambda: current().check(), *known)
    return LocalRunner(served, kernel, version, pictures, residence), kernel


def told(model: ServedModel) -> ServedModel:
    """The model, its precision saying that activations on disk are rounded."""
    info = model.info
    if model.placement.precision != "float32":
        return model  # kept as the tower computes them
    return replace(model, info=info.model_copy(update={"precision": f"{info.precision}, {KEPT}"}))


def swift(model: ServedModel) -> ServedModel:
    """The model with small passes traced: many threads want Python's lock here."""
    if model.placement.device.type != "cpu":
        return model
    return replace(model, traced=Traced(model.loaded.tower))


def warm(runner: Runner) -> None:
    """Let every model and dictionary answer once, so that nobody's first question is slow.

    A few pictures at a time: what they need tells the engine how many fit into memory.
    """
    for info in runner.models():
        greys = _greys(info)
        names = info.prompts if len(info.prompts) > 1 else ("a cat", "a dog")
        classifier = info.probe or Prompts(prompts=names, template=info.template)
        runner.predict(Predict(model=info.id, images=greys, classifier=classifier)).results()
        for dictionary in info.dictionaries:
            _warm_dictionary(runner, info, dictionary, greys, classifier)
        _LOG.info("model %s is ready with %d dictionaries", info.id, len(info.dictionaries))


def _greys(info: ModelInfo) -> tuple[Pixels, ...]:
    shape = (3, *info.image_size)
    levels = (np.full(shape, i / TELLING, np.float32) for i in range(TELLING))
    return tuple(Pixels(tensor=Tensor.of(level)) for level in levels)


def _warm_dictionary(
    runner: Runner,
    info: ModelInfo,
    dictionary: DictionaryInfo,
    greys: tuple[Pixels, ...],
    classifier: Classifier,
) -> None:
    unit = Feature(dictionary=dictionary.id, index=0)
    off = SteerSet(edits=(Edit(site=dictionary.site, unit=unit, op=Scale(m=-1.0)),))
    asked = {"model": info.id, "images": greys, "classifier": classifier}
    runner.steer(Steer.model_validate(asked | {"steer_sets": (off,)})).results()
    runner.attribute(
        Attribute.model_validate(asked | {"dictionary": dictionary.id, "top_k": 1})
    ).results()
