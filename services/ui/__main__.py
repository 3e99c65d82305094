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
    # Streamlit collects garbage after each run of the script; what was read in by now never is any,
    # and looking through it costs longer than a run.
    gc.freeze()
    sys.argv = ["streamlit", "run", str(Path(__file__).with_name("app.py")), *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
