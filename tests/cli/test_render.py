"""bin/render: what it refuses before it begins, and two songs in two threads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tfsep.cli import render

pytestmark = pytest.mark.programs


@pytest.fixture
def font(tmp_path: Path) -> Path:
    """Write a file with the head of a soundfont and nothing else."""
    (tmp_path / "font.sf2").write_bytes(b"RIFF\0\0\0\0sfbk")
    return tmp_path / "font.sf2"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--soundfont must be given at least once (Debian: fluid-soundfont-gm, timgm6mb-soundfont)"),
        (["--soundfont=none.sf2"], "found none at none.sf2"),
        (["--soundfont=FONT", "--midi=empty"], "--midi must be builtin or a folder of .mid files, got 'empty'"),
        (["--songs=0"], "--songs must lie in 1..99999, got 0"),
        (["--seconds=nan"], "--seconds must lie in 1..3600, got nan"),
        (["--sources=drums,bass,other"], "--sources must be four different names"),
        (["--sources=drums,bass,other,../x"], "--sources must be four different names"),
        (["--split=../x"], "--split must be the name of a folder, got '../x'"),
        (["--sample_rate=8000"], "invalid choice"),
        (["--soundfont=FONT", "--voices=empty"], "--voices must be a folder with one folder of speech for each singer"),
        (["--soundfont=FONT", "--program=lead=128"], "--program must be one of drums, bass, other, lead, '='"),
        (["--soundfont=FONT", "--program=flute"], "got 'flute'"),
        (["--soundfont=FONT", "--pitch=3"], "--pitch and --tempo vary the songs of --stems, which is not given"),
    ],
)
def test_what_is_refused(
    font: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))  # Arguments are checked before programs are looked up.
    code = render.main(["--output=songs", *(each.replace("FONT", str(font)) for each in arguments)])
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and err.startswith("error: ") and complaint in err and len(err.splitlines()) == 1
    assert not (tmp_path / "songs").exists()


def test_an_absent_synthesiser_is_named(
    font: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert render.main([f"--output={tmp_path / 'songs'}", f"--soundfont={font}"]) == 1
    assert "(Debian: fluidsynth)" in capsys.readouterr().err


def test_songs_are_rendered_side_by_side(soundfont: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [f"--output={tmp_path}", f"--soundfont={soundfont}", "--songs=2", "--seconds=1", "--jobs=2"]
    arguments += ["--program=lead=73", "--program=lead=74"]
    assert render.main([*arguments, "--sources=kit,bass,chords,flute", "--split=valid"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and len(out.splitlines()) == 2
    for line in out.splitlines():
        assert {path.stem for path in Path(line).glob("*.flac")} == {"kit", "bass", "chords", "flute"}
        assert Path(line).parent == tmp_path / "valid"
        parts = json.loads((Path(line) / "song.json").read_text())["parts"]
        assert {part["program"] for part in parts if part["group"] == "lead"} <= {73, 74}
