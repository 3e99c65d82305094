"""``python -m services.ui``: ``streamlit run`` of the page, ready for its first visitor."""

import gc
import logging
import sys
from pathlib import Path

from streamlit.web import cli

NOTICE = "streamlit.runtime.caching.cache_data_api"  # says that no server runs yet; so it is

# Streamlit would look through all of memory for garbage behind each run of the script or of a part
# of it, and a moved slider is two: as long as its answer takes. Python itself does so now and then.
FLAGS = ("--runner.postScriptGC=false",)


def main() -> None:
    """Serve; what is given goes on to ``streamlit run``."""
    logging.getLogger(NOTICE).setLevel(logging.ERROR)
    from services.ui import ahead  # which reads in what says so

    ahead.read_in()
    # What was read in by now never is garbage, and looking through it costs longer than a run.
    gc.freeze()
    ahead.ask()
    app = str(Path(__file__).with_name("app.py"))
    sys.argv = ["streamlit", "run", app, *FLAGS, *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
