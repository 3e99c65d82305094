"""Timers of a page that was left: Streamlit would clear the page that is open for them.

A page asks for a fragment by its timer while the server is about to switch to another page. That
request waits until the other page is drawn, and is then run under the page that was left: Streamlit
(1.67) tells the browser to clear everything, finds that the fragment is gone, and draws nothing.
Here a request for fragments that are gone is dropped before it clears anything.
"""

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

_RUN = ScriptRunner._run_script


def install() -> None:
    """Have every session of this process drop such requests; may be called again and again."""
    if ScriptRunner._run_script is _RUN:
        ScriptRunner._run_script = _run_unless_gone  # type: ignore[method-assign, assignment]


def _run_unless_gone(runner: ScriptRunner, request: RerunData) -> None:
    """In place of ``ScriptRunner._run_script``."""
    if not gone(runner, request):
        _RUN(runner, request)


def gone(runner: ScriptRunner, request: RerunData) -> bool:
    """Whether a request is for fragments alone, none of which the open page has."""
    held = runner._fragment_storage.contains
    return bool(request.fragment_id_queue) and not any(map(held, request.fragment_id_queue))
