"""``python -m services.ui``: ``streamlit run`` of the page, with whatever it takes read in before.

Streamlit runs the page's script for the first time when the first person opens it, who would wait
until every module that the views take is read. Here they are read while nobody waits yet.
"""

import gc
import logging
import sys
from importlib import import_module
from pathlib import Path

from streamlit.web import cli

VIEWS = ("workbench", "explorer.view", "explorer.atlas", "concepts.view", "recipes.view")
NOTICE = "streamlit.runtime.caching.cache_data_api"  # says that no server runs yet; so it is

# Streamlit would look through all of memory for garbage behind each run of the script or of a part
# of it, and a moved slider is two: as long as its answer takes. Python itself does so now and then.
FLAGS = ("--runner.postScriptGC=false",)


def warm() -> None:
    """Read the views' modules in; one that cannot be read is told of when its page is opened."""
    logging.getLogger(NOTICE).setLevel(logging.ERROR)
    for name in VIEWS:
        try:
            import_module(f"services.ui.{name}")
        except Exception:
            logging.getLogger(__name__).exception("%s", name)


def main() -> None:
    """Serve; what is given goes on to ``streamlit run``."""
    warm()
    # What was read in by now never is garbage, and looking through it costs longer than a run.
    gc.freeze()
    app = str(Path(__file__).with_name("app.py"))
    sys.argv = ["streamlit", "run", app, *FLAGS, *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
