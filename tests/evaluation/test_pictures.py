"""A spectrogram's levels mean what they say, and its picture is a whole file."""

import numpy as np
import pytest
from PIL import Image

from gmn.evaluation.pictures import FLOOR_DB, HEIGHT, WIDTH, spectrogram_db, write_spectrogram

RATE = 16_000


def sine(hertz, seconds=1.0, amplitude=1.0, rate=RATE):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("level_db", [0.0, -20.0, -60.0])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
def test_a_sine_shows_at_its_own_level(level_db, rate):
    levels = spectrogram_db(sine(440, amplitude=10 ** (level_db / 20), rate=rate), rate)
    assert levels.shape == (HEIGHT, WIDTH)
    assert levels[:, WIDTH // 2].max() == pytest.approx(level_db, abs=1.5)


def test_frequency_rises_upwards_on_a_mel_scale():
    rows = [spectrogram_db(sine(hertz), RATE)[:, WIDTH // 2].argmax() for hertz in (110, 440, 1760, 7000)]
    assert rows == sorted(rows)
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    expected = [HEIGHT * 2595 * np.log10(1 + hertz / 700) / top for hertz in (110, 440, 1760, 7000)]
    np.testing.assert_allclose(rows, expected, atol=2)


def test_silence_is_black_and_so_are_samples_that_are_not_finite():
    assert (spectrogram_db(np.zeros(RATE, np.float32), RATE) == FLOOR_DB).all()
    assert (spectrogram_db(np.full(RATE, np.nan, np.float32), RATE) == FLOOR_DB).all()


def test_a_click_in_a_long_clip_is_not_stepped_over():
    clip = np.zeros(120 * RATE, np.float32)
    clip[77 * RATE + 123] = 1.0
    column = spectrogram_db(clip, RATE).max(axis=0).argmax()
    assert column == pytest.approx(77 / 120 * WIDTH, abs=2)


@pytest.mark.parametrize("n_samples", [0, 1, 10, 1000])
def test_a_very_short_clip_is_drawn(n_samples):
    assert spectrogram_db(np.ones(n_samples, np.float32), RATE).shape == (HEIGHT, WIDTH)


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match=r"one channel, got shape \(2, 100\)"):
        spectrogram_db(np.zeros((2, 100), np.float32), RATE)


def test_the_png_is_whole_and_alone_in_its_folder(tmp_path):
    path = tmp_path / "deep" / "clip.png"
    write_spectrogram(sine(1000), RATE, path)
    write_spectrogram(sine(1000), RATE, path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
        pixels = np.asarray(image.convert("L"))
    row = pixels[:, WIDTH // 2].argmax()
    assert HEIGHT * 0.5 < row < HEIGHT * 0.8, "low notes lie at the bottom"
    assert [file.name for file in path.parent.iterdir()] == ["clip.png"]
