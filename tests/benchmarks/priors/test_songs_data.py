"""Isolated sounds out of packages: who speaks a file, and folders that training and rendering read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.priors import songs_data
from tfsep.data.stems import StemsData
from tfsep.rendering import speech

pytestmark = pytest.mark.programs

RATE = songs_data.RATE


def write(path: Path, seconds: float, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = level * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    soundfile.write(path, sound.astype(np.float32), RATE)


@pytest.mark.parametrize(
    ("package", "path", "speaker"),
    [
        (0, "fillets-ng/sound/cave/cs/cave-m-hello.ogg", "fillets_cs_m"),
        (0, "fillets-ng/sound/cave/nl/cave-crab-hello.ogg", "fillets_nl_cave_crab"),
        (0, "fillets-ng/sound/cave/cs/music.ogg", None),
        (1, "ktuberling/sounds/en/bow.ogg", "ktuberling_en"),
        (2, "klettres/pt_BR/alpha/a.ogg", "klettres_pt_BR"),
        (3, "tuxpaint/stamps/animals/cat_desc_fr.ogg", "tuxpaint_fr"),
        (4, "asterisk/sounds/en_US_f_Allison/hello.g722", "asterisk_en_US_f_Allison"),
    ],
)
def test_a_path_names_its_speaker(package: int, path: str, speaker: str | None) -> None:
    assert songs_data.PACKAGES[package].speaker(f"/usr/share/{path}") == speaker


def test_folders_are_what_rendering_and_training_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    root, output = tmp_path / "share", tmp_path / "out"
    for line in range(5):
        write(root / "ktuberling" / "sounds" / "en" / f"{line}.ogg", 4.0)
    write(root / "ktuberling" / "sounds" / "de" / "0.ogg", 4.0)
    write(root / "sonic-pi" / "samples" / "loop_amen.flac", 2.0)
    write(root / "sonic-pi" / "samples" / "loop_perc1.flac", 2.0)
    write(root / "games/fretsonfire/data/songs/one/my song/guitar.ogg", 20.0)
    assert songs_data.main([f"--output={output}", f"--root={root}", "--seconds=15"]) == 0
    said = capsys.readouterr().err
    assert "ktuberling-data: 1 folders" in said and "klettres-data: none found, passed over" in said
    assert [path.name for path in speech.singers(output / "voices")] == ["ktuberling_en"]
    assert len(list((output / "voices" / "ktuberling_en").iterdir())) == 4
    drums = StemsData([str(output / "loops")], sources=("drums",), sample_rate=RATE)
    assert drums.draw("drums", 1, 11 * RATE, (0, 0)).shape == (1, 11 * RATE)
    assert [path.name for path in (output / "loops" / "train").iterdir()] == ["loop_amen"]
    assert soundfile.info(output / "guitars" / "train" / "my_song" / "other.flac").duration == 20.0


def test_too_little_of_a_speaker_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert songs_data.main([f"--output={tmp_path}", "--seconds=5"]) == 2
    assert "--seconds must be at least 14, got 5" in capsys.readouterr().err
