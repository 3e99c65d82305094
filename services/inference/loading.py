"""From a ``steerboard.yaml`` to a Runner behind the batching engine, warmed."""

import logging
from pathlib import Path

import numpy as np

import steerboard
from services.inference.engine.batching import BatchingKernel
from services.inference.engine.ticket import current
from steerboard.inprocess.config import read_config
from steerboard.inprocess.kernel import DirectKernel
from steerboard.inprocess.pictures import Pictures
from steerboard.inprocess.runner import LocalRunner
from steerboard.inprocess.served import ServedModel, serve
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.requests import Attribute, Pixels, Predict, Prompts
from steerboard.spec.runner import Runner
from steerboard.spec.tensor import Tensor

_LOG = logging.getLogger(__name__)


def load_runner(config: Path) -> tuple[LocalRunner, BatchingKernel]:
    """All models of the file, checked and loaded, and the engine that serves them."""
    found, base = read_config(config)
    version = steerboard.__version__
    served = {name: serve(name, one, base, version) for name, one in found.models.items()}
    return behind_engine(served, version)


def behind_engine(
    served: dict[str, ServedModel], version: str
) -> tuple[LocalRunner, BatchingKernel]:
    """A Runner whose rows wait in the engine's queue, and whose pictures are each tenant's own."""
    kernel = BatchingKernel(DirectKernel())
    pictures = Pictures(lambda: current().tenant, lambda: current().check())
    return LocalRunner(served, kernel, version, pictures), kernel


def warm(runner: Runner) -> None:
    """Let every model and dictionary answer once, so that nobody's first question is slow."""
    for info in runner.models():
        grey = Pixels(tensor=Tensor.of(np.zeros((3, *info.image_size), np.float32)))
        names = info.prompts if len(info.prompts) > 1 else ("a cat", "a dog")
        classifier = Prompts(prompts=names, template=info.template)
        runner.predict(Predict(model=info.id, images=(grey,), classifier=classifier)).one()
        for dictionary in info.dictionaries:
            _warm_dictionary(runner, info, dictionary.id, grey, classifier)
        _LOG.info("model %s is ready with %d dictionaries", info.id, len(info.dictionaries))


def _warm_dictionary(
    runner: Runner, info: ModelInfo, dictionary: str, grey: Pixels, classifier: Prompts
) -> None:
    request = Attribute(
        model=info.id, images=(grey,), classifier=classifier, dictionary=dictionary, top_k=1
    )
    runner.attribute(request).one()
