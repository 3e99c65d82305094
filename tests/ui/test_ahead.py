"""What the first pages ask was asked before anybody came."""

from collections.abc import Callable

import pytest

from services.ui import ahead
from services.ui.backend import forget
from services.ui.explorer import browse, reading
from services.ui.explorer.address import PAGE, Address
from steerboard.spec.errors import Unavailable
from tests.ui.person import Person
from tests.ui.stage import Stage


def test_a_door_that_comes_late_is_asked_once_it_is_there(
    visit: Callable[..., Person], services: Stage
) -> None:
    """``visit`` has the page's script of this process speak to these services."""
    with services.without("job-door"):
        asking = ahead.ask()
        with pytest.raises(Unavailable):
            reading.catalogues()
        assert asking.is_alive()
    asking.join()
    with services.without("job-door"):
        for info in reading.catalogues():
            found = reading.found(browse.query(Address(), info), 0, PAGE, browse.PICTURES)
            assert len(found.items) == PAGE
            digests = [d for row in found.items for d in row.pictures]
            assert reading.thumbnails().get(info.key, digests).keys() == set(digests)
    forget()
    with services.without("job-door"), pytest.raises(Unavailable):
        reading.catalogues()
