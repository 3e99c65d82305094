"""Somebody in front of the page: does what people do, and reads what stands there."""

import re
import time
from collections.abc import Callable
from html import unescape

from streamlit.testing.v1 import AppTest

PATIENCE_S = 120.0


class Person:
    """Wraps the page's script.

    Args:
        page: The script, run once.
    """

    def __init__(self, page: AppTest) -> None:
        self.page = page

    def until(self, condition: Callable[[], object]) -> None:
        """Wait as the page's own timers would have it; they do not run here."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < PATIENCE_S, self.reads()
            time.sleep(0.3)
            self.page.run()
            self.sees_no_traceback()

    def presses(self, key: str) -> None:
        """Click a button."""
        self.page.button(key=key).click().run()
        self.sees_all()

    def picks(self, group: str = "typographic", place: int = 1) -> None:
        """Open a picture of the shelf, and wait for its features."""
        self.presses(f"pick-{group}-{place}")
        self.until(self.ranked)

    def uploads(self, name: str, data: bytes) -> None:
        """Bring a file."""
        (box,) = self.page.file_uploader
        box.set_value((name, data, "application/octet-stream"))
        self.page.run()
        self.sees_no_traceback()

    def types(self, key: str, text: str) -> None:
        """Fill in a text."""
        found = [w for w in (*self.page.text_area, *self.page.text_input) if w.key == key]
        found[0].set_value(text).run()
        self.sees_no_traceback()

    def moves(self, feature: int, m: float) -> None:
        """Drag a slider."""
        (slider,) = (s for s in self.page.slider if f"-{feature}-" in str(s.key))
        slider.set_value(m).run()
        self.sees_all()

    def sees_all(self) -> None:
        """The whole page again where parts of it were drawn alone; they say what it says.

        The browser keeps the rest of the page meanwhile, which is not done here.
        """
        self.sees_no_traceback()
        alone, moved, wrong = "sb-head" not in self.markup(), self.changes(), self.warned()
        if alone:
            self.page.run()
            self.sees_no_traceback()
            self.until(lambda: wrong or self.changes() == moved)

    def features(self) -> list[int]:
        """The ranked features, from the top."""
        found = (re.fullmatch(r"Off-(\d+)", b.key or "") for b in self.page.button)
        return [int(match[1]) for match in found if match]

    def ranked(self) -> bool:
        """Whether the workers' ranking is there."""
        return bool(self.features()) and "measured" in self.reads()

    def strength(self, feature: int) -> float:
        """What a slider shows."""
        (slider,) = (s for s in self.page.slider if f"-{feature}-" in str(s.key))
        return float(slider.value)

    def changes(self) -> tuple[float, float] | None:
        """Predicted and measured change of the margin, or None where nothing is moved."""
        found = re.findall(r"(?:Predicted|Measured) change</small><b>([^<]+)<", self.markup())
        return (number(found[0]), number(found[1])) if found else None

    def answer(self) -> str:
        """What the model says about the picture."""
        found = re.search(r"The model says<b>([^<]*)</b>", self.markup())
        return unescape(found[1]) if found else ""

    def session(self) -> str:
        """The session's id, as the address has it."""
        name = self.page.query_params["s"]
        return name if isinstance(name, str) else name[0]

    def markup(self) -> str:
        """All HTML but the style."""
        return "\n".join(h.value for h in self.page.html if not h.value.startswith("<style"))

    def warned(self) -> list[str]:
        """Sentences that say what is wrong."""
        return [unescape(e.value).replace("\\", "") for e in (*self.page.error, *self.page.warning)]

    def reads(self) -> str:
        """Everything that stands there."""
        shown = [*self.warned(), *(c.value for c in self.page.caption)]
        return "\n".join([*shown, re.sub(r"<[^>]+>", " ", self.markup())])

    def sees_no_traceback(self) -> None:
        """Nobody ever does."""
        assert not self.page.exception, self.page.exception
        assert "should not have" not in self.reads(), self.reads()


def number(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace("−", "-"))
