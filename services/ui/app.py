"""The pages: workbench, features, concepts, recipes. Run by ``streamlit run``."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import streamlit as st

# Streamlit puts this folder first on the path; the project's root is what imports start from.
if str(Path(__file__).parents[2]) not in sys.path:
    sys.path.append(str(Path(__file__).parents[2]))

from services.ui import latecomers, markup, recovery
from services.ui.backend import backend
from services.ui.session import KEY, begin, named, told
from steerboard.api.speaking import speak_for
from steerboard.spec.errors import SteerboardError


@dataclass(frozen=True)
class View:
    """A page: its title, its icon, and the module whose ``show()`` draws it."""

    title: str
    icon: str
    module: str
    path: str = ""  # of the address; empty: the page that opens first

    def draw(self) -> None:
        """The whole page, from the top; nobody ever reads a traceback here."""
        recovery.forget()
        with recovery.caught("page"):
            if self._opened():
                speak_for(named())
                import_module(self.module).show()

    def _opened(self) -> bool:
        """The session, with the head of the page above whatever is to be said of it."""
        top = st.container(key="head", horizontal=True, vertical_alignment="center")
        try:
            return opened()
        finally:
            with top:
                head()


VIEWS = (
    View("Workbench", ":material/tune:", "services.ui.workbench"),
    View("Features", ":material/grid_view:", "services.ui.explorer.view", "features"),
    View("Concepts", ":material/category:", "services.ui.concepts.view", "concepts"),
    View("Recipes", ":material/receipt_long:", "services.ui.recipes.view", "recipes"),
)


def there(module: str) -> bool:
    """Whether a view was installed."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def drawn(view: View) -> Callable[[], None]:
    """A function of the view's own: Streamlit tells pages apart by their functions' names."""

    def draw() -> None:
        view.draw()

    draw.__name__ = view.path or "workbench"
    return draw


def pages() -> list[st.Page]:
    """All views that are there, as Streamlit's pages."""
    return [
        st.Page(drawn(v), title=v.title, icon=v.icon, url_path=v.path, default=not v.path)
        for v in VIEWS
        if there(v.module)
    ]


def head() -> None:
    """The name, the ways to the other pages, and the link that begins a new session."""
    shown = st.session_state["pages"]
    st.html(markup.brand())
    if len(shown) > 1:
        for page in shown:
            st.page_link(page, query_params={KEY: named()} if named() else None)
    st.html(markup.begin_anew(), width="content")


def opened() -> bool:
    """Whether the session is there; if not, the page says why and tries again."""
    try:
        begin()
    except SteerboardError as error:
        recovery.explain(
            "This session cannot be opened.",
            error,
            lambda: backend().store.events(named()) if named() else backend().store.sessions(""),
            "session",
        )
        return False
    if notice := told():
        st.warning(markup.plain(notice))
    return True


def main() -> None:
    """Choose the page that the address names, and draw it."""
    latecomers.install()
    st.set_page_config("Steerboard", "🧭", layout="wide")
    st.html(f"<style>{markup.STYLE}</style>")
    found = st.session_state["pages"] = pages()
    st.navigation(found, position="hidden").run()


main()
