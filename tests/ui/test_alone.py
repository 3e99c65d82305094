"""Parts of a page that are drawn alone, without any service behind them."""

import pytest
from streamlit.testing.v1 import AppTest


def page() -> None:
    """Two parts; each button counts what is drawn because of it."""
    import streamlit as st

    from services.ui import alone
    from services.ui.session import tell

    drawn = st.session_state.setdefault("drawn", [])

    def part(name: str) -> None:
        drawn.append(name)
        if st.session_state.get("broken") == name:
            raise ValueError(name)
        st.caption(f"{name} is here")

    drawn.append("page")
    for name in ("one", "two"):
        alone.part(name, lambda name=name: part(name))
    st.button("both", key="both", on_click=alone.only, args=("two", "one"))
    st.button("gone", key="gone", on_click=alone.only, args=("one", "three"))
    st.button("word", key="word", on_click=lambda: (tell("a word"), alone.only("one")))
    st.button("whole", key="whole", on_click=alone.whole)


@pytest.fixture
def opened() -> AppTest:
    found = AppTest.from_function(page).run()
    assert found.session_state["drawn"] == ["page", "one", "two"]
    found.session_state["drawn"].clear()
    return found


@pytest.mark.parametrize(
    ("pressed", "drawn"),
    [
        ("both", ["two", "one"]),  # in the order of who asked
        ("gone", ["page", "one", "two"]),  # a part that is not there any more
        ("word", ["page", "one", "two"]),  # there is something to say at the top
        ("whole", ["page", "one", "two"]),
    ],
)
def test_what_a_callback_names_is_drawn_alone(
    opened: AppTest, pressed: str, drawn: list[str]
) -> None:
    opened.button(key=pressed).click().run()
    assert opened.session_state["drawn"] == drawn and not opened.exception


def test_a_part_that_fails_is_a_sentence_and_the_others_stand(opened: AppTest) -> None:
    opened.session_state["broken"] = "one"
    opened.button(key="both").click().run()
    assert not opened.exception and "should not have" in opened.error[0].value
    assert [c.value for c in opened.caption] == ["two is here"]
