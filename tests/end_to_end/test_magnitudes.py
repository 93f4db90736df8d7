"""From a gin file of priors over magnitudes to stems: two commands, on real files, at a size for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.data import toy

REPOSITORY = Path(__file__).resolve().parents[2]
PAIR = ("sine", "square")
SHORT = (
    f"train.sources = {PAIR}",
    "prior/fit.num_steps = 2",
    "prior/fit.batch_size = 2",
    "prior/fit.preview_every = 0",
    "prior/fit.jit_compile = False",
    "spectral_langevin.num_levels = 2",
    "spectral_langevin.num_restarts = 1",
)
NETWORK = ("prior.num_steps = 2", "prior.width = 4", "prior.num_layers = 1")
SMALL = {
    "glow_stft.gin": (*NETWORK, "prior.predictor_width = 8"),
    "realnvp_stft.gin": (*NETWORK, "prior.predictor_width = 8"),
    "ablations/glow_mel.gin": NETWORK,
    "ablations/realnvp_bins.gin": NETWORK,
    "ablations/lifting_stft.gin": ("lifting.num_steps = 1", "lifting.width = 8", "lifting.trunk = {'width': 4}"),
}


def run(command: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, f"bin/{command}", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name", ["glow_stft.gin", *(pytest.param(name, marks=pytest.mark.slow) for name in list(SMALL)[1:])]
)
def test_a_gin_file_leads_to_stems(name: str, tmp_path: Path) -> None:
    """Whatever two steps of training have taught: the stems sum to the mixture and differ."""
    waves = [toy.examples(kind, 1, 5000, 16000, seed=3)[0] for kind in PAIR]
    mixture = np.mean(waves, axis=0, dtype=np.float32)[np.newaxis]
    with files.Writer(tmp_path / "mix.wav", 16000, 1) as writer:
        writer.write(mixture)
    params = [f"--gin_param={param}" for param in (*SHORT, *SMALL[name])]
    run("train", f"--gin_file=gin/{name}", *params, f"--save_dir={tmp_path / 'run'}")
    for chosen in ([], ["--posterior=spectral_latent", "--steps=2"]):
        stems = tmp_path / f"stems{len(chosen)}"
        run(
            "separate", f"--model={tmp_path / 'run' / 'model'}", *chosen, str(tmp_path / "mix.wav"), f"--output={stems}"
        )
        found = {path.stem: files.read(path)[0] for path in stems.rglob("*.wav")}
        assert set(found) == set(PAIR)
        np.testing.assert_allclose(sum(found.values()), mixture, atol=1e-4)
        assert np.abs(found["sine"] - found["square"]).max() > 1e-3
