"""How the pictures of a chunk are shared out among its steps."""

import pytest

from services.attribution.catalogue_set import evenly


@pytest.mark.parametrize("batch", range(1, 17))
def test_steps_are_nearly_alike_and_none_is_much_more_than_was_wished(batch: int) -> None:
    for left in range(1, 17):
        sizes = []
        while sum(sizes) < left:
            sizes.append(evenly(left - sum(sizes), batch))
        assert sum(sizes) == left
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= 1.5 * batch
        assert len(sizes) <= -(-left // batch)
