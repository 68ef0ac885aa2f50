"""Mu-law codes: round trips, order, known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmn.audio import mulaw
from gmn.errors import InputError

ALL = np.arange(256, dtype=np.uint8)
samples = st.floats(-1, 1, width=32)


def test_every_code_survives_the_round_trip_through_float_and_through_pcm() -> None:
    waveform = mulaw.decode(ALL)
    assert waveform.dtype == np.float32
    assert np.array_equal(mulaw.encode(waveform), ALL)
    pcm = np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16)
    assert np.array_equal(mulaw.encode_pcm16(pcm), ALL)


def test_the_table_equals_the_formula_for_all_pcm_values() -> None:
    pcm = np.arange(-32768, 32768).astype(np.int16)
    assert np.array_equal(mulaw.encode_pcm16(pcm), mulaw.encode(pcm / 32768))
    strided = pcm.reshape(2, -1)[:, ::-7]
    assert np.array_equal(mulaw.encode_pcm16(strided), mulaw.encode(strided / 32768))


def test_known_values() -> None:
    # By hand: f(0.5) = ln(128.5) / ln(256) = 0.87572, (0.87572 + 1) / 2 * 255 = 239.15.
    assert mulaw.encode([0.5, -0.5, 0.0, 2.0, -7.0]).tolist() == [239, 16, mulaw.SILENCE, 255, 0]
    assert mulaw.decode_table()[200] == pytest.approx((256 ** (145 / 255) - 1) / 255, rel=1e-6)


@given(samples, samples)
def test_codes_rise_with_samples(a: float, b: float) -> None:
    low, high = mulaw.encode(sorted((a, b)))
    assert low <= high


@given(samples)
def test_no_other_level_is_closer_on_the_companded_scale(x: float) -> None:
    def companded(value: float) -> float:
        return float(np.sign(value) * np.log1p(255 * abs(value)) / np.log(256))

    decoded = mulaw.decode(mulaw.encode([x]))[0]
    assert abs(companded(x) - companded(decoded)) <= 1 / 255 + 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sample_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(InputError, match="NaN or infinite"):
        mulaw.encode([0.0, bad])


def test_wrong_types_and_ranges_are_refused() -> None:
    with pytest.raises(InputError, match="int16, not int32"):
        mulaw.encode_pcm16(np.zeros(3, np.int32))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"0\.\.256"):
        mulaw.decode(np.array([0, 256]))
    with pytest.raises(InputError, match="not float64"):
        mulaw.decode(np.array([0.5]))  # type: ignore[arg-type]


def test_the_shared_table_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        mulaw.decode_table()[0] = 0
