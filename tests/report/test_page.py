"""The page as text: everything that it must contain, nothing private, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.report.excerpt import playable_rate
from tfsep.report.page import clock, write_page
from tfsep.report.track_files import TrackFiles

Make = Callable[..., TrackFiles]
VOID = {"meta", "input", "img", "br"}


class Outline(HTMLParser):
    """Elements as (tag, attributes), text by tag; raises on elements that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._stack: list[str] = []
        self.feed(page)
        self.close()
        assert self._stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._stack:
            self.texts.append((self._stack[-1], data))

    def of(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]

    def words(self) -> str:
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("script", "style")).split())


def written(track: TrackFiles, tmp_path: Path, **arguments: object) -> tuple[str, Outline]:
    file = tmp_path / "out" / "report.html"
    write_page(file, track, "toy", {"Seed": "7", "Command": "separate --seed=7"}, **arguments)
    page = file.read_text(encoding="utf-8")
    return page, Outline(page)


def test_a_page_shows_everything(make_track: Make, tmp_path: Path) -> None:
    page, outline = written(make_track(num_samples=3, references=True), tmp_path)
    words = outline.words()
    assert [found["data-row"] for found in outline.of("li", class_="row")] == ["mixture", "low", "high"]
    for heading in ("Listen", "Levels", "Uncertainty", "Residual", "Numbers", "Settings"):
        assert heading in words
    assert "2.0 s, 8000 Hz, 2 channels; 2 stems by tfsep, model toy. Mixture minus stems leaves −1" in words
    assert "Seed 7 Command separate --seed=7" in words
    assert re.search(r"low −13\.\d dB 0\.\d+ \d+\.\d dB \d+\.\d dB −?\d+\.\d dB", words)
    assert "SI-SDRi is what the stem gains over the mixture" in words and "This page holds the first" not in words
    assert len(outline.of("path", class_="spread")) == 2


def test_a_page_without_samples_and_references_does_not_mention_them(make_track: Make, tmp_path: Path) -> None:
    _, outline = written(make_track(), tmp_path)
    words = outline.words()
    for absent in ("Uncertainty", "spread", "SI-SDR", "no reference"):
        assert absent not in words
    assert outline.of("path", class_="spread") == []


def test_some_references_and_one_stem(make_track: Make, tmp_path: Path) -> None:
    track = make_track(references=True)
    low, high = track.stems
    words = written(replace(track, stems=(low, replace(high, reference=None))), tmp_path)[1].words()
    assert re.search(r"high −23\.\d dB 0\.\d+ no reference", words)
    words = written(replace(track, stems=(low,), complete=False), tmp_path)[1].words()
    assert "1 stem by" in words and "One stem alone was written" in words and "Mixture minus" not in words


def test_a_page_needs_nothing_from_elsewhere(make_track: Make, tmp_path: Path) -> None:
    page, outline = written(make_track(num_samples=2, references=True), tmp_path)
    assert "default-src 'none'" in str(outline.of("meta")[3]["content"])
    spelled = re.sub(r"data:image/png;base64,[^\"]*|>[A-Za-z0-9+/=]{200,}<", "", page)
    assert re.findall(r"(?:https?:)?//\w", spelled) == []
    for tag, attributes in outline.elements:
        assert tag not in ("link", "iframe", "object", "embed", "audio", "video")
        for name in ("src", "href", "xlink:href"):
            assert str(attributes.get(name, "#")).startswith(("#", "data:image/png;base64,")), (tag, attributes)


def test_no_path_of_the_machine_is_shown(make_track: Make, tmp_path: Path) -> None:
    page, _ = written(make_track(num_samples=2, references=True), tmp_path)
    assert str(tmp_path) not in page and tmp_path.name not in page and "/tmp" not in page


def test_ids_are_different_and_labels_are_there(make_track: Make, tmp_path: Path) -> None:
    _, outline = written(make_track(num_samples=2), tmp_path)
    ids = [found["id"] for _, found in outline.elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert outline.of("html", lang="en") and outline.of("meta", name="viewport")
    for found in [*outline.of("button", class_="solo"), *outline.of("button", class_="mute"), *outline.of("meter")]:
        assert found["aria-label"]
    for found in outline.of("input"):
        assert found.get("aria-label") or found["id"] in {label["for"] for label in outline.of("label")}
    assert all(found["alt"] for found in outline.of("img"))
    assert all("aria-label" in found or found.get("aria-hidden") == "true" for found in outline.of("svg"))


def test_names_are_text_and_never_code(make_track: Make, tmp_path: Path) -> None:
    track = make_track()
    low, high = track.stems
    hostile = "<script>alert('&$x$')</script>"
    page, outline = written(replace(track, name=hostile, stems=(replace(low, name=hostile), high)), tmp_path)
    assert hostile not in page and hostile in outline.words()
    assert len(outline.of("script")) == 4, "the sound of three signals, and the code"


@pytest.mark.parametrize(
    ("rate", "channels", "played"), [(8000, 2, (8000, 2)), (11000, 1, (11025, 1)), (96000, 3, (48000, 1))]
)
def test_the_sound_of_a_page(
    make_track: Make, tmp_path: Path, rate: int, channels: int, played: tuple[int, int]
) -> None:
    track = make_track(seconds=1.5, rate=rate, channels=channels)
    page, outline = written(track, tmp_path, seconds=1.0)
    (transport,) = outline.of("div", id="transport")
    assert (transport["data-rate"], float(str(transport["data-seconds"]))) == (str(played[0]), 1.0)
    coded = [text for tag, text in outline.texts if tag == "script"][:3]
    decoded = []
    for text, path in zip(coded, (track.mixture, *(stem.path for stem in track.stems)), strict=True):
        sound, found_rate = soundfile.read(io.BytesIO(base64.b64decode(text)), always_2d=True)
        assert (found_rate, sound.shape[1]) == played and len(sound) == played[0]
        level = np.sqrt(np.mean(files.read(path)[0] ** 2))
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(level, rel=0.02)
        decoded.append(sound)
    assert np.std(decoded[0] - decoded[1] - decoded[2]) < 0.05 * np.std(decoded[0]), "they are in step"
    words = outline.words()
    assert "This page holds the first 1.0 s of 1.5 s" in words
    assert (f"mean of the {channels} channels" in words) == (channels > 2)


def test_a_page_is_the_same_again(make_track: Make, tmp_path: Path) -> None:
    track = make_track(num_samples=2, references=True)
    assert written(track, tmp_path)[0] == written(track, tmp_path)[0]


def test_silence_and_a_single_sample(make_track: Make, tmp_path: Path) -> None:
    track = make_track(seconds=0.000125)
    assert track.frames == 1
    assert "0.0 s, 8000 Hz" in written(track, tmp_path)[1].words()


def test_what_cannot_be_written_leaves_nothing(make_track: Make, tmp_path: Path) -> None:
    track = make_track()
    for seconds in (0.0, -1.0, 601.0, float("nan")):
        with pytest.raises(InputError, match="a page holds more than 0 and at most 600 s of sound, got"):
            write_page(tmp_path / "out" / "report.html", track, "toy", {}, seconds)
    track.stems[1].path.unlink()
    with pytest.raises(JobError, match="high.wav"):
        write_page(tmp_path / "out" / "report.html", track, "toy", {})
    assert not (tmp_path / "out").exists()


def test_clock_and_rates() -> None:
    texts = {0.5: "0.5 s", 59.94: "59.9 s", 60.0: "1:00 min", 187.2: "3:07 min", 3600.0: "1:00:00 h"}
    assert {seconds: clock(seconds) for seconds in texts} == texts
    assert [playable_rate(x) for x in (1000, 8000, 8001, 44100, 192000)] == [8000, 8000, 11025, 44100, 48000]


def test_the_policy_of_a_page_names_its_own_code_alone(make_track: Make, tmp_path: Path) -> None:
    """Style and script are allowed by their hashes; no attribute holds code or style."""
    write_page(tmp_path / "a.html", make_track(num_samples=2, references=True), "toy", {"Seed": "<script>0</script>"})
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "unsafe" not in policy and policy.startswith("default-src 'none'; img-src data:; ")
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r"\sstyle=|\son\w+=|javascript:", page)
    assert len(set(re.findall(r'data-colour="[\w-]+"', page))) >= 3 and ".drawn-0 {" in page
