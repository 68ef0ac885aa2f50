"""The report page: what it says, what it leaves out, that no name can break it, and that a real browser runs it."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile as sf

from gmn.evaluation.page import Bars, ClipCard, Curve, Figure, Ladder, Matrix, Report, Table, thinned, write_page
from gmn.evaluation.pictures import write_spectrogram

HOSTILE = "<img src=x onerror=window.hacked=1>"
CLOSING = "</script><script>window.hacked=1</script>\u2028'\"&"
DURATION = "(audio) => new Promise((done) => { audio.onloadedmetadata = () => done(audio.duration); audio.load(); })"
CLIP = ClipCard("c0", "audio/a.flac", "audio/a.png", "rock", "power", "rock", 0.8, "sadness", 4.5, "ok", 0.5, 17, 0)


def full_report(clips):
    figures = [Figure("Genre obedience", "62 % (45-77)", "chance 25 %", "good"), Figure("Clips", "60")]
    ladder = Ladder("Ladder", "held out", [("uniform", 8.0), ("trigram", 4.34)], ("wavenet", 4.71), "bits")
    matrix = Matrix("Genre", ["pop", "rock"], ["pop", "rock", "none"], [[3, 1, 0], [0, 0, 0]])
    bars = Bars("Genres", [("pop", 3), ("rock", 1)], "tracks", "what the tracks are")
    curve = Curve("Loss", "step", "bits", {"train": [(0, 8.0), (10, 5.0)], "validation": []})
    sources = Table("Sources", ["file", "bytes"], [["a/b.wav", "1,200"]])
    health = Table("Health", ["health"], [["ok"]], section="summary")
    return Report("Library", "What came out.", figures, [ladder], [bars], [matrix], [curve], clips, [sources, health])


def records(folder):
    text = (folder / "clips.js").read_text("ascii")
    return json.loads(text.removeprefix("window.gmnClips = ").removesuffix(";\n"))


class Page(HTMLParser):
    """Collects a page's elements and its text outside scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text, self._raw = [], "", False
        self.feed(path.read_text("utf-8"))
        self.sections = [attrs["id"] for tag, attrs in self.elements if tag == "section"]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._raw = False

    def handle_data(self, data):
        self.text += "" if self._raw else data


def test_a_full_report_has_its_sections_in_order(tmp_path):
    index = write_page(full_report([CLIP]), tmp_path)
    assert index == tmp_path / "index.html"
    page = Page(index)
    assert page.sections == ["summary", "clips", "obedience", "training", "provenance"]
    for words in ("62 %", "(45-77)", "chance 25 %", "0.37 above trigram", "a/b.wav", "1,200", "what the tracks are"):
        assert words in page.text
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clips.js", "index.html"]


def test_empty_sections_are_left_out(tmp_path):
    page = Page(write_page(Report("Bare", ""), tmp_path))
    assert page.sections == []
    assert not (tmp_path / "clips.js").exists()
    assert "clips.js" not in {attrs.get("src") for _, attrs in page.elements}
    only = Report("One", "", tables=[Table("Audit", ["label"], [["pop"]], "", "obedience")])
    assert Page(write_page(only, tmp_path)).sections == ["obedience"]


def test_nothing_is_loaded_from_a_network(tmp_path):
    page = write_page(full_report([CLIP]), tmp_path).read_text("utf-8") + (tmp_path / "clips.js").read_text("ascii")
    assert re.findall(r"https?:|url\(|@import|[\"']//", page) == []


def test_names_cannot_become_markup(tmp_path):
    name = HOSTILE + CLOSING
    clip = replace(CLIP, clip_id=name, genre=name, predicted_genre=name, emotion=name, health=name, audio=f"a/{name}")
    ladder = Ladder(name, name, [(name, 8.0)], (name, 4.0), name)
    matrix = Matrix(name, [name], [name], [[1]], name, name)
    bars = Bars(name, [(name, 1)], name, name)
    curve, table = Curve(name, name, name, {name: [(0, 1.0)]}), Table(name, [name], [[name]], name)
    report = Report(name, name, [Figure(name, name, name)], [ladder], [bars], [matrix], [curve], [clip], [table])
    page = Page(write_page(report, tmp_path))
    assert [tag for tag, _ in page.elements if tag == "script"] == ["script"] * 3
    pictures = [attrs for tag, attrs in page.elements if tag == "img"]
    assert pictures == [{"loading": "lazy", "decoding": "async", "width": "480", "height": "160"}]
    assert page.text.count(name) >= 15
    script = (tmp_path / "clips.js").read_text("ascii")
    assert not set("<>&\u2028") & set(script)
    assert records(tmp_path)[0]["genre"] == name


def test_a_clip_is_written_with_quoted_paths_and_finite_numbers(tmp_path):
    card = replace(CLIP, audio="a/50% #1?.flac", spectrogram="javascript:x", bits_per_sample=float("nan"), genre=None)
    write_page(Report("R", "", clips=[card]), tmp_path)
    (record,) = records(tmp_path)
    assert record["audio"] == "a/50%25%20%231%3F.flac"
    assert record["spectrogram"] == "javascript%3Ax"
    assert record["bits_per_sample"] is None
    assert record["genre"] is None


@pytest.mark.parametrize("path", ["/etc/passwd", "//host/share", ""])
def test_a_path_that_is_not_relative_is_refused(path):
    with pytest.raises(ValueError, match="not a path relative to the report"):
        replace(CLIP, audio=path)


def test_obeyed_needs_every_head_that_was_asked_for_and_judged():
    assert CLIP.obeyed is False
    assert replace(CLIP, predicted_emotion="power").obeyed is True
    assert replace(CLIP, emotion=None).obeyed is True
    assert replace(CLIP, emotion=None, genre=None).obeyed is None
    assert replace(CLIP, predicted_genre=None, predicted_emotion=None).obeyed is None


def test_a_ladder_says_how_the_model_stands():
    ladder = Ladder("L", "", [("uniform", 8.0), ("trigram", 4.34)], ("wavenet", 4.71), "bits")
    assert ladder.verdict == ("bad", "0.37 above trigram")
    assert replace(ladder, model=("wavenet", 4.0)).verdict == ("good", "0.34 below trigram")
    assert replace(ladder, model=("wavenet", 4.341)).verdict == ("warn", "level with trigram")
    assert replace(ladder, model=("wavenet", float("nan"))).verdict == ("bad", "not a finite number")
    assert replace(ladder, rungs=[]).verdict == ("plain", "")


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="the counts are not 2 rows of 1"):
        Matrix("M", ["a", "b"], ["a"], [[1]])
    with pytest.raises(ValueError, match="a row does not have 2 cells"):
        Table("T", ["a", "b"], [["1"]])


def test_a_thinned_curve_keeps_spikes_ends_and_gaps():
    points = [(float(x), 1.0) for x in range(100_000)]
    points[54_321], points[77_777] = (54_321.0, 99.0), (77_777.0, float("nan"))
    kept = thinned(points)
    assert len(kept) <= 1200
    assert (54_321.0, 99.0) in kept
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)
    assert [None in point for point in Curve("c", "x", "y", {"s": points}).plot()["series"][0]].count(True) == 1


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, headless=True, args=flags.split())
        yield running
        running.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """60 clips in three pages; the first has a hostile name, every second one obeys."""
    folder = tmp_path_factory.mktemp("report")
    waveform = (0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000)).astype(np.float32)
    cards = []
    for i in range(60):
        stem = f"audio/clip {i} #100%" if i % 10 == 0 else f"audio/clip{i}"
        audio = f"{stem}.{'wav' if i % 3 else 'flac'}"
        write_spectrogram(waveform, 16_000, folder / f"{stem}.png")
        sf.write(folder / audio, waveform, 16_000)
        genre = HOSTILE if i == 0 else ("rock", "pop")[i // 2 % 2]
        heard = {"predicted_genre": genre if i % 2 else "jazz", "health": "silent" if i == 59 else "ok"}
        asked = {"genre": genre, "emotion": None, "index": i, "bits_per_sample": 5 - i / 100}
        cards.append(replace(CLIP, clip_id=f"{i}{HOSTILE}", audio=audio, spectrogram=f"{stem}.png", **asked, **heard))
    wide = Table(HOSTILE, ["file"] * 6, [["0123456789abcdef" * 4] * 6] * 40)
    report = replace(full_report(cards), title=CLOSING, tables=[wide])
    return write_page(report, folder)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1366])
def test_the_page_works_in_a_browser(browser, library, width):
    tab = browser.new_page(viewport={"width": width, "height": 800})
    complaints, requests = [], []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(library.as_uri())

    assert tab.title().startswith("</script><script>window.hacked=1</script>")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cards, found, pager = tab.locator(".clip"), tab.locator(".found"), tab.locator(".pager").last
    assert cards.count() == 24
    assert cards.first.locator(".name").inner_text() == f"0{HOSTILE}"
    assert cards.first.locator(".answers .no").inner_text().endswith("jazz")

    tab.evaluate("for (const image of document.images) image.loading = 'eager'")
    tab.wait_for_function("[...document.images].filter((image) => image.naturalWidth === 480).length === 24")
    for i in (0, 1):
        audio = cards.nth(i).locator("audio")
        assert audio.get_attribute("preload") == "none"
        audio.evaluate("(audio) => { audio.preload = 'metadata' }")
        assert audio.evaluate(DURATION) == pytest.approx(0.5, abs=0.05)

    pager.get_by_role("button", name="Next").click()
    assert found.inner_text() == "25\u201348 of 60 clips"
    assert cards.first.locator(".name").inner_text() == f"24{HOSTILE}"
    pager.get_by_role("button", name="Last").click()
    assert cards.count() == 12
    pager.get_by_role("spinbutton").fill("2")
    pager.get_by_role("spinbutton").press("Enter")
    assert cards.first.locator(".name").inner_text() == f"24{HOSTILE}"

    tab.locator("[name=obeyed]").select_option("obeyed (30)")
    assert found.inner_text() == "1\u201324 of 30 clips that match, 60 in all"
    tab.locator("[name=genre]").select_option(f"{HOSTILE} (1)")
    assert found.inner_text() == "0 clips that match, 60 in all"
    assert tab.locator(".nothing").is_visible()
    tab.get_by_role("button", name="Reset").click()
    tab.wait_for_function("document.querySelectorAll('.clip').length === 24")
    tab.locator("[name=health]").select_option("silent (1)")
    assert cards.count() == 1
    assert pager.is_hidden()
    tab.locator("[name=health]").select_option("all")
    tab.locator("[name=order]").select_option("fewest bits per sample")
    assert cards.first.locator(".name").inner_text() == f"59{HOSTILE}"

    cards.first.locator(".play").click()
    tab.wait_for_function("document.querySelector('audio').currentTime > 0")
    plot = tab.locator(".plot")
    plot.focus()
    plot.press("ArrowLeft")
    assert plot.locator(".readout").inner_text().split() == ["step", "10", "train", "5"]

    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(url.startswith(("file://", "data:")) for url in requests)
    assert complaints == []
    tab.close()


@pytest.mark.browser
def test_a_page_without_its_clips_says_so(browser, library, tmp_path):
    shutil.copy(library, tmp_path)
    tab = browser.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    assert "clips.js is missing" in tab.locator(".found").inner_text()
    tab.close()
