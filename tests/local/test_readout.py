"""What a classifier says of an embedding does not depend on those beside it."""

import numpy as np
import pytest
import torch

from steerboard.inprocess.readout import Readout


@pytest.mark.parametrize("alone", [False, True])
def test_each_answer_is_bit_for_bit_the_one_alone_and_is_what_numpy_says(alone: bool) -> None:
    torch.manual_seed(0)
    head = Readout(torch.randn(37, 53), torch.randn(37), alone=alone)
    embeddings = torch.nn.functional.normalize(torch.randn(41, 53), dim=1)
    together = head.predictions(embeddings)
    for i, found in enumerate(together):
        (one,) = head.predictions(embeddings[i : i + 1])
        assert np.array_equal(one.logits, found.logits)
        assert np.array_equal(one.probabilities, found.probabilities)
        logits = head.weight.double().numpy() @ embeddings[i].double().numpy() + head.bias.numpy()
        raised = np.exp(logits)
        right = raised / (1 + raised) if alone else raised / raised.sum()
        np.testing.assert_allclose(found.logits, logits, atol=1e-5)
        np.testing.assert_allclose(found.probabilities, right, atol=1e-6)
    assert head.predictions(embeddings[:0]) == []
