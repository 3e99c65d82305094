"""What only the first visitor would wait for, done while nobody waits yet.

Streamlit runs the page's script when somebody opens it, and so reads in what the script takes, and
the services are first spoken to then. Here modules are read in before the page is served, and the
services are asked what the first page of each view asks, as soon as they are there.
"""

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread

from PIL import Image

from services.ui.backend import AWAY, backend, image_sets, model
from services.ui.explorer import browse, reading
from services.ui.explorer.address import PAGE, Address
from steerboard.spec.errors import SteerboardError

_LOG = logging.getLogger(__name__)
LATE = (
    "services.ui.workbench",
    "services.ui.explorer.view",
    "services.ui.explorer.atlas",
    "services.ui.explorer.versus",
    "services.ui.concepts.view",
    "services.ui.recipes.view",
    "services.ui.latecomers",
)
# What Streamlit itself reads in when a page first has it do so; another release has other parts.
STREAMLITS = (
    "streamlit.emojis",
    "streamlit.material_icon_names",
    "streamlit.runtime.scriptrunner.magic_funcs",
    "streamlit.web.skills",
)
SOME = 4  # catalogues whose first page is asked for
EVERY_S, PATIENCE_S = 0.5, 600.0


def read_in() -> None:
    """Read modules in; a view that cannot be read is told of when its page is opened."""
    for name in LATE:
        with told(name):
            import_module(name)
    for name in STREAMLITS:
        with suppress(ImportError):
            import_module(name)
    Image.init()
    inspect.stack()  # Streamlit looks once who calls it, and the first look reads every file's path


def ask() -> Thread:
    """In the background: open what is opened once, and ask what the first pages ask."""
    thread = Thread(target=asked, name="ahead", daemon=True)
    thread.start()
    return thread


def asked() -> None:
    """The same, here; returns once all is answered, or would not be by waiting."""
    until = time.monotonic() + PATIENCE_S
    with told("the services"):
        for question in (backend, features, workbench):
            answered(question, until)


def answered(question: Callable[[], object], until: float) -> None:
    """Ask until there is an answer; what waiting cannot mend is left for the page to tell."""
    while time.monotonic() < until:
        try:
            question()
        except AWAY:
            time.sleep(EVERY_S)
        except SteerboardError:
            return
        else:
            return


def features() -> None:
    """The first page of every catalogue."""
    # Not by what remembers, for there whoever comes meanwhile would wait for this question, too.
    backend().library.catalogues()
    fit = [info for info in reading.catalogues() if not info.trouble]
    for info in fit[:SOME]:
        found = reading.found(browse.query(Address(), info), 0, PAGE, browse.PICTURES)
        reading.thumbnails().get(info.key, [d for row in found.items for d in row.pictures])


def workbench() -> None:
    """What the workbench begins with."""
    backend().library.image_sets()
    model()
    image_sets()


@contextmanager
def told(what: str) -> Iterator[None]:
    """Inside, what goes wrong is written down, and stops nothing."""
    try:
        yield
    except Exception:
        _LOG.exception("%s", what)
