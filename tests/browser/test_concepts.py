"""A person asks which neurons know a concept, steers by them, and takes that to the workbench."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import PATIENCE_MS
from tests.browser.hands import idle, sees_no_traceback, shot
from tests.ui.stage import Stage

pytestmark = pytest.mark.timeout(900)


def test_neurons_that_know_a_concept_are_steered_on_an_open_picture(
    parts: Stage, page: Page
) -> None:
    page.goto(f"{parts.address}/concepts?of=label&is=owl&units=neuron")
    expect(page.locator(".sb-busy").first).to_contain_text(
        re.compile(r"neurons at mlp_post.\d about the pictures: \d+ of \d+"), timeout=PATIENCE_MS
    )
    take = page.get_by_role("button", name="Take these changes to the workbench")
    expect(take).to_be_visible(timeout=2 * PATIENCE_MS)
    names = page.locator(".sb-expert .sb-id")
    expect(names).to_have_count(8)
    assert all(re.fullmatch(r"neuron \d+", name) for name in names.all_inner_texts())

    page.get_by_role("button", name="Try it on a picture that shows it").click()
    verdict = page.locator(".st-key-concept-outcome .sb-verdict")
    expect(verdict).to_contain_text("owl", timeout=PATIENCE_MS)
    before = verdict.inner_text()
    slider = page.get_by_role("slider", name="Experts to steer by")
    slider.press("End")  # all that the slider offers
    expect(verdict).not_to_have_text(before, timeout=PATIENCE_MS)
    idle(page)
    shot(page, "concept.png")
    page.set_viewport_size({"width": 430, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 430
    page.set_viewport_size({"width": 1440, "height": 900})
    told = verdict.inner_text()

    take.click()
    expect(page.locator(".st-key-test .sb-verdict")).to_have_text(told, timeout=PATIENCE_MS)
    back = page.get_by_role("button", name=re.compile(r"^neuron \d+ at mlp_post\.\d −"))
    expect(back.first).to_be_visible()
    sees_no_traceback(page)
