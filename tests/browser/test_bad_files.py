"""Files of every kind, brought by hand."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import hands
from tests.browser.chromium import PATIENCE_MS
from tests.ui.bad_pictures import READ, REFUSED
from tests.ui.stage import Stage


@pytest.mark.timeout(900)
def test_files_are_refused_by_name_or_opened(parts: Stage, page: Page, tmp_path: Path) -> None:
    page.goto(parts.address)
    alerts = page.locator('[data-testid="stAlert"]')
    for name, data in REFUSED.items():
        (tmp_path / name).write_bytes(data)
        hands.upload(page, tmp_path / name)
        expect(alerts).to_contain_text(name, timeout=PATIENCE_MS)
        hands.sees_no_traceback(page)
    hands.shot(page, "refused.png")
    for name, data in READ.items():
        (tmp_path / name).write_bytes(data)
        hands.upload(page, tmp_path / name)
        expect(page.get_by_text(name.replace(".", ".")).first).to_be_visible(timeout=PATIENCE_MS)
        hands.ranked(page)
        hands.sees_no_traceback(page)
        page.locator(".st-key-choose button").click()
