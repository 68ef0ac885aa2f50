"""Obedience: the figures of cases that can be counted by hand."""

from typing import Any

import pytest

from gmn.datasets.labels import GEMS
from gmn.evaluation.obedience import measure, rates_agreement
from gmn.models.conditioning import Conditions

NAMES = ("pop", "rock", "folk")
CONDITIONS = Conditions(
    genres=NAMES,
    emotions={name: tuple(round(0.1 + 0.05 * abs(i - j), 3) for j in range(9)) for i, name in enumerate(GEMS)},
    rate_mean=(0.5,) * 9,
    rate_std=(0.1,) * 9,
)


def clips(head: str, *asked: str | None) -> list[dict[str, Any]]:
    other = "emotion" if head == "genre" else "genre"
    return [{"clip_id": str(i), head: name, other: None} for i, name in enumerate(asked)]


def heard(*labels: str | None) -> dict[str, dict[str, Any]]:
    return {str(i): {"label": label} for i, label in enumerate(labels)}


def test_a_case_counted_by_hand() -> None:
    found = measure(
        clips("genre", "pop", "pop", "pop", "rock", "rock", "folk"),
        heard("pop", "pop", "rock", "rock", "folk", "folk"),
        "genre",
        NAMES,
    )
    assert (found["n"], found["hits"], found["share"], found["chance"]) == (6, 4, 4 / 6, 0.5)
    assert found["interval"] == pytest.approx([0.3000, 0.9032], abs=1e-4)
    assert found["names"] == ["pop", "rock", "folk"]
    assert found["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_clips_that_were_not_asked_or_not_labelled_do_not_count() -> None:
    asked = clips("genre", "pop", None, "rock", "folk")
    assert measure(asked, heard("pop", "pop", None), "genre", NAMES)["n"] == 1
    assert measure(asked, {}, "genre", NAMES) == {"n": 0}
    assert measure(clips("genre", None), heard("pop"), "genre", NAMES) == {"n": 0}


def test_a_label_that_the_generator_does_not_know_is_a_miss() -> None:
    """Such clips were once left out, which made the share of the others look better."""
    found = measure(clips("genre", "pop", "rock"), heard("pop", "jazz"), "genre", NAMES)
    assert (found["n"], found["hits"]) == (2, 1)
    assert found["names"] == ["pop", "rock", "folk", "jazz"]
    assert found["confusion"] == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_rates_of_ones_own_have_no_name_to_be_heard_by() -> None:
    """They ended the report's job in a ValueError."""
    own = ":".join(["0.5"] * 9)
    found = measure(clips("emotion", own, "power"), heard("sadness", "power"), "emotion", GEMS)
    assert (found["n"], found["hits"]) == (1, 1)
    assert measure(clips("emotion", own), heard("power"), "emotion", GEMS) == {"n": 0}


@pytest.mark.parametrize("sign", [1, -1])
def test_rates_that_were_heard_as_asked_correlate(sign: int) -> None:
    asked = clips("emotion", "power", "sadness", "tension", None)
    rates = {str(i): [sign * float(r) for r in CONDITIONS.rates(clip["emotion"])] for i, clip in enumerate(asked[:3])}
    rows = {name: {"probabilities": each} for name, each in rates.items()} | {"3": {"probabilities": [0.0] * 9}}
    assert rates_agreement(asked, rows, CONDITIONS) == pytest.approx(sign)


def test_two_clips_have_no_correlation_to_speak_of() -> None:
    asked = clips("emotion", "power", "sadness")
    assert rates_agreement(asked, {str(i): {"probabilities": [0.1 * i] * 9} for i in range(2)}, CONDITIONS) is None


def test_rates_that_never_change_have_no_correlation() -> None:
    asked = clips("emotion", "power", "sadness", "tension")
    assert rates_agreement(asked, {str(i): {"probabilities": [0.5] * 9} for i in range(3)}, CONDITIONS) is None
