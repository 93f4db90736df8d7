"""The page in a headless Chromium: it plays, its buttons work, and it fetches nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfsep.report.page import write_page
from tfsep.report.track_files import TrackFiles

pytestmark = pytest.mark.programs

PLAYING = "document.getElementById('play').textContent === 'Pause'"
PLACE = "Number(document.getElementById('seek').value)"


def row(name: str) -> str:
    return f"[data-row='{name}']"


def level(name: str) -> str:
    """Return the level at which a signal plays: 0 for silence, 1 for full scale."""
    return f'document.querySelector("{row(name)} .level").value'


@pytest.fixture
def page(browser: Any, make_track: Callable[..., TrackFiles], tmp_path: Path) -> Any:
    """Open the page of an eight-second track in the browser."""
    write_page(tmp_path / "report.html", make_track(seconds=8.0, num_samples=2, references=True), "toy", {"Seed": "0"})
    browser.log()
    browser.log("performance")
    browser.open(tmp_path / "report.html")
    return browser


def play(page: Any) -> None:
    page.click("#play")
    page.wait(f"{PLAYING} && {PLACE} > 0.1")


def test_play_advances_and_pause_stops(page: Any) -> None:
    assert page.evaluate(PLACE) == 0
    play(page)
    first = page.evaluate(PLACE)
    page.wait(f"{PLACE} > {first} + 0.5")
    assert page.evaluate("document.getElementById('time').textContent").endswith("/ 0:08.0")
    assert page.evaluate("document.getElementById('play').getAttribute('aria-pressed')") == "true"
    page.click("#play")
    page.wait(f"!({PLAYING})")
    stopped = page.evaluate(PLACE)
    page.evaluate("new Promise(done => setTimeout(done, 300))")
    assert page.evaluate(PLACE) == stopped > first
    page.click("#play")
    page.wait(f"{PLAYING} && {PLACE} > {stopped} + 0.1")
    assert page.log() == []


def test_solo_and_mute_work_while_it_plays(page: Any) -> None:
    play(page)
    page.wait(f"{level('low')} > 0.3 && {level('high')} > 0.3")
    assert page.evaluate(level("mixture")) == 0, "the mixture is muted at first"
    page.click(f"{row('low')} .mute")
    page.wait(f"{level('low')} === 0 && {level('high')} > 0.3")
    assert page.evaluate(f"document.querySelector(\"{row('low')}\").classList.contains('silent')")
    page.click(f"{row('low')} .solo")
    page.wait(f"{level('low')} > 0.3 && {level('high')} === 0 && {level('mixture')} === 0")
    assert page.evaluate(f"document.querySelector(\"{row('low')} .solo\").getAttribute('aria-pressed')") == "true"
    page.click(f"{row('low')} .solo")
    page.click(f"{row('mixture')} .mute")
    page.wait(f"{level('low')} === 0 && {level('high')} > 0.3 && {level('mixture')} > 0.3")
    assert page.evaluate(PLAYING)


def test_volume(page: Any) -> None:
    play(page)
    page.wait(f"{level('high')} > 0.3")
    page.press(f"{row('high')} .volume", "\ue011")  # Home
    page.wait(f"{level('high')} === 0 && {level('low')} > 0.3")
    page.press(f"{row('high')} .volume", "\ue010")  # End
    page.wait(f"{level('high')} > 0.3")


def test_seeking_by_slider_and_by_picture(page: Any) -> None:
    page.click(f"{row('low')} .wave")  # a click falls on the middle
    assert page.evaluate(PLACE) == pytest.approx(4.0, abs=0.1)
    cursor = page.evaluate(f'document.querySelector("{row("high")} .cursor").style.left')
    assert float(cursor.rstrip("%")) == pytest.approx(50.0, abs=1.0)
    play(page)
    page.wait(f"{PLACE} > 4.2 && {level('low')} > 0.3")
    page.press("#seek", "\ue011")
    page.wait(f"{PLACE} < 2 && {level('low')} > 0.3")
    page.press("#seek", "\ue010")
    page.wait(f"!({PLAYING})")
    assert page.evaluate(PLACE) == 0, "at its end it stops and goes back"


def test_the_space_bar_plays(page: Any) -> None:
    page.press("body", " ")
    page.wait(f"{PLAYING} && {PLACE} > 0.1")
    page.press("body", " ")
    page.wait(f"!({PLAYING})")


def test_signals_start_together(page: Any) -> None:
    """Every audible source is started at one time of one clock and at one position, after a seek too."""
    page.evaluate(
        "(window.starts = [], window.start = AudioBufferSourceNode.prototype.start,"
        " AudioBufferSourceNode.prototype.start = function (...at) {"
        " window.starts.push([...at, this.context.sampleRate, this.buffer.length]); window.start.apply(this, at); })"
    )
    play(page)
    page.click(f"{row('low')} .wave")
    page.wait("window.starts.length === 6")
    first, second = (page.evaluate(f"window.starts.slice({start}, {start + 3})") for start in (0, 3))
    for starts in (first, second):
        assert starts[0] == starts[1] == starts[2]
    assert first[0][1:] == [0, 8000, 64000] and second[0][1] == pytest.approx(4.0, abs=0.1)
    assert page.evaluate("document.querySelectorAll('.row script').length") == 0, "decoded sound is not kept twice"


def test_a_page_may_fetch_nothing_not_even_itself(page: Any) -> None:
    assert page.evaluate("fetch(location.href).then(() => 'fetched', () => 'refused')") == "refused"


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_a_page_fits_its_window(page: Any, tmp_path: Path, width: int) -> None:
    page.open(tmp_path / "report.html", width, 800)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    sizes = page.evaluate("[...document.querySelectorAll('button')].map(x => x.getBoundingClientRect().height)")
    assert min(sizes) >= 36, "large enough for a finger"


def test_nothing_is_asked_of_the_network(page: Any, tmp_path: Path) -> None:
    play(page)
    requests = [json.loads(message)["message"] for message in page.log("performance")]
    urls = [x["params"]["request"]["url"] for x in requests if x["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith(("file:", "data:")) for url in urls)
    assert sum(url.startswith("file:") for url in urls) == 1
    assert page.log() == []
