"""The first embedding of codes knows their order."""

import torch

from gmn.models.embedding import code_embedding


def test_codes_lie_apart_as_they_do_on_the_line() -> None:
    weight = code_embedding(48).weight.detach()
    assert weight.shape == (256, 48)
    steps = (weight[1:] - weight[:-1]).norm(dim=1)
    assert steps.min() > 0.01
    for code in (0, 100, 255):
        apart = (weight - weight[code]).norm(dim=1)
        assert apart.argmin() == code
        assert apart[max(0, code - 3) : code + 4].max() < apart[torch.arange(256).sub(code).abs() > 20].min()


def test_an_odd_number_of_channels_will_do() -> None:
    torch.testing.assert_close(code_embedding(3).weight, code_embedding(4).weight[:, :3])
