"""Conditions as vectors, and the tables behind an emotion's name."""

import json

import numpy as np
import pytest

from gmn.datasets.labels import GEMS
from gmn.errors import InputError
from gmn.models.conditioning import Conditions

RATES = np.random.default_rng(0).uniform(0, 1, (40, 9))
CONDITIONS = Conditions.fit(("pop", "rock"), [("pop", tuple(rates)) for rates in RATES] + [("rock", None)])
NEUTRAL = Conditions.fit((), [(None, None)])


def test_the_vector_is_genre_presence_rates_presence() -> None:
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    vector = CONDITIONS.vector("rock", rates)
    np.testing.assert_array_equal(vector, np.array([0, 1, 1, *rates, 1], np.float32))
    assert CONDITIONS.size == len(vector) == 13


def test_presence_bits_tell_none_from_zeros() -> None:
    assert not CONDITIONS.vector(None, None).any()
    assert CONDITIONS.vector(None, [0.0] * 9).tolist() == [0] * 12 + [1]
    assert CONDITIONS.vector("pop", None).tolist() == [1, 0, 1] + [0] * 10


def test_an_emotion_means_the_mean_of_its_top_decile() -> None:
    for i, name in enumerate(GEMS):
        top = sorted(RATES.tolist(), key=lambda rates: -rates[i])[:4]
        np.testing.assert_allclose(CONDITIONS.rates(name), np.mean(top, axis=0), atol=1e-6)


def test_few_tracks_still_give_each_emotion_one() -> None:
    few = Conditions.fit((), [(None, tuple(RATES[0])), (None, tuple(RATES[1]))])
    assert set(few.emotions) == set(GEMS)
    i = GEMS.index("power")
    np.testing.assert_allclose(few.rates("power"), max(RATES[:2].tolist(), key=lambda rates: rates[i]), atol=1e-6)


def test_an_unknown_genre_lists_the_known() -> None:
    with pytest.raises(InputError, match="genre 'jazz' is unknown to this model, which knows: pop, rock"):
        CONDITIONS.vector("jazz", None)
    with pytest.raises(InputError, match="knows: none"):
        NEUTRAL.vector("jazz", None)


def test_an_unknown_emotion_lists_the_known() -> None:
    with pytest.raises(
        InputError, match=r"emotion 'joy' is unknown to this model, which knows: amazement, .*, sadness$"
    ):
        CONDITIONS.vector(None, "joy")
    with pytest.raises(InputError, match="knows: none"):
        NEUTRAL.vector(None, "power")


@pytest.mark.parametrize("rates", [[0.5] * 8, [1.1] * 9, [-0.1] * 9, [float("nan")] * 9, []])
def test_bad_rates_are_refused(rates: list[float]) -> None:
    with pytest.raises(InputError, match="needs 9 rates from 0 to 1, in the order amazement, "):
        CONDITIONS.vector(None, rates)


def test_rates_may_be_text() -> None:
    numbers = [0.0, 0.5, 1, 0.25, 0, 0, 0, 0, 0.125]
    np.testing.assert_array_equal(
        CONDITIONS.vector("pop", "0:0.5:1:.25:0:0:0:0:0.125"), CONDITIONS.vector("pop", numbers)
    )
    with pytest.raises(InputError, match="emotion '0:much': holds something else than numbers between its colons"):
        CONDITIONS.rates("0:much")
    for text in ("0:1", "0:0:0:0:0:0:0:0:1.5", "0:0:0:0:0:0:0:0:nan"):
        with pytest.raises(InputError, match="needs 9 rates from 0 to 1"):
            CONDITIONS.rates(text)


def test_json_round_trip() -> None:
    for conditions in (CONDITIONS, NEUTRAL):
        assert Conditions.from_json(json.loads(json.dumps(conditions.to_json()))) == conditions


def test_the_emotion_that_stands_out_is_the_largest_standardised() -> None:
    rates = RATES.copy()
    rates[:, 0] += 10  # always largest, as some emotions are, and so says nothing
    conditions = Conditions.fit((), [(None, tuple(row)) for row in rates])
    expected = ((rates - rates.mean(0)) / rates.std(0)).argmax(1)
    assert [conditions.standing("emotion", row).argmax() for row in rates] == list(expected)
    assert conditions.standing("genre", [0.2, 0.8]).tolist() == [0.2, 0.8]
    assert len(set(expected.tolist())) > 5
