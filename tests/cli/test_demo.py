"""The demonstration and the results table, as the README calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).resolve().parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_demo_writes_stems_that_sum_to_their_mixtures(tmp_path: Path) -> None:
    done = _run("tfsep.cli.demo", "--output", str(tmp_path))
    for title in ("toy-flow on toy: 8 mixtures", "toy on toy: 8 mixtures", "songs on examples: 1 mixtures"):
        assert title in done.stdout
    assert done.stdout.count("ideal_ratio_mask") == 3
    for number in range(1, 9):
        mixture, _ = soundfile.read(tmp_path / "inputs" / f"toy_{number}.wav")
        for model in ("toy-flow", "toy"):
            stems = [soundfile.read(path)[0] for path in (tmp_path / model / f"toy_{number}").glob("*.wav")]
            assert len(stems) == 4
            np.testing.assert_allclose(sum(stems), mixture, atol=1e-5)
    assert len(list((tmp_path / "songs" / "mixture").glob("*.wav"))) == 4


@pytest.mark.slow
def test_the_results_table_is_written(tmp_path: Path) -> None:
    done = _run("benchmarks.quality", "--only", "songs - amortised examples", "--output", str(tmp_path))
    records = json.loads((tmp_path / "quality.json").read_text())
    assert [record["model"] for record in records] == ["songs"]
    assert f"| {records[0]['mean_si_sdri']:.1f} |" in done.stdout
    assert (tmp_path / "quality.md").read_text().startswith("| data | model |")
