"""BSS Eval: the values of museval, and the difference between silence and failure."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfsep.metrics.bss_eval import METRICS, bss_eval, track_medians

pytestmark = pytest.mark.programs

RATE = 4000
ROOT = str(Path(__file__).resolve().parents[2])


if importlib.util.find_spec("museval") is None:
    pytest.skip("needs museval (pip install 'tfsep[eval]')", allow_module_level=True)


def sounds(num_sources: int = 2, seconds: float = 3.0, channels: int = 1) -> np.ndarray:
    shape = (num_sources, channels, int(seconds * RATE))
    return np.random.default_rng(0).standard_normal(shape)


def leaking(references: np.ndarray, level: float) -> np.ndarray:
    return references + level * np.roll(references, 1, axis=0)


def test_leakage_is_interference() -> None:
    references = sounds()
    scores = bss_eval(leaking(references, 0.1), references, RATE)
    assert set(scores) == set(METRICS)
    np.testing.assert_allclose(scores["sir"], 20.0, atol=1.0)
    np.testing.assert_allclose(scores["sdr"], 20.0, atol=1.0)
    assert np.all(scores["sar"] > 40)


def test_noise_is_an_artefact() -> None:
    references = sounds()
    estimates = references + 0.1 * np.random.default_rng(1).standard_normal(references.shape)
    scores = bss_eval(estimates, references, RATE)
    np.testing.assert_allclose(scores["sar"], 20.0, atol=2.0)
    assert np.all(scores["sir"] > 25)


def test_it_is_the_median_of_museval() -> None:
    references = sounds(3, channels=2)
    estimates = leaking(references, 0.3)
    try:
        import museval
    except RuntimeError as error:
        pytest.skip(f"museval does not load whole: {str(error).splitlines()[0]}")
    expected = museval.evaluate(np.moveaxis(references, 1, 2), np.moveaxis(estimates, 1, 2), win=RATE, hop=RATE)
    scores = bss_eval(estimates, references, RATE)
    for name, values in zip(METRICS, expected, strict=True):
        np.testing.assert_allclose(scores[name], np.median(values, axis=1))


def test_channels_may_be_left_out() -> None:
    references = sounds()
    estimates = leaking(references, 0.2)
    one, other = bss_eval(estimates, references, RATE), bss_eval(estimates[:, 0], references[:, 0], RATE)
    np.testing.assert_allclose(one["sdr"], other["sdr"])


def test_a_silent_reference_has_no_metric_and_hides_no_other() -> None:
    references = sounds(3)
    estimates = leaking(references, 0.1)
    alone = bss_eval(estimates[:2], references[:2], RATE)
    references[2] = 0.0
    scores = bss_eval(estimates, references, RATE)
    for name in METRICS:
        assert np.isnan(scores[name][2])
        np.testing.assert_allclose(scores[name][:2], alone[name])


def test_a_silent_estimate_has_no_metric_and_hides_no_other() -> None:
    references = sounds(2)
    estimates = leaking(references, 0.1)
    before = bss_eval(estimates, references, RATE)
    estimates[0] = 0.0
    after = bss_eval(estimates, references, RATE)
    assert np.isnan(after["sdr"][0])
    np.testing.assert_allclose(after["sdr"][1], before["sdr"][1])


def test_silent_windows_are_left_out() -> None:
    references = sounds(2, 4.0)
    references[0, :, :RATE] = 0.0
    scores = bss_eval(leaking(references, 0.1) + 0.001, references, RATE)
    assert np.all(np.isfinite(scores["sdr"]))


def test_nothing_but_silence() -> None:
    scores = bss_eval(sounds(), np.zeros_like(sounds()), RATE)
    assert all(np.isnan(values).all() for values in scores.values())


def test_a_short_signal_is_one_window() -> None:
    references = sounds(2, 0.5)
    assert np.all(np.isfinite(bss_eval(leaking(references, 0.1), references, RATE)["sdr"]))


def test_medians_of_tracks() -> None:
    tracks = [{name: np.array(values) for name in METRICS} for values in ([1.0, np.nan], [2.0, np.nan], [9.0, 5.0])]
    tracks.append({name: np.array([np.nan, np.nan]) for name in METRICS})
    medians = track_medians(tracks)
    np.testing.assert_array_equal(medians["sdr"], [2.0, 5.0])
    assert np.isnan(track_medians(tracks[3:])["sir"]).all()
    assert track_medians([]) == {}


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 12000\) and \(3, 12000\)"):
        bss_eval(sounds(2)[:, 0], sounds(3)[:, 0], RATE)
    with pytest.raises(ValueError, match=r"got \(12000,\)"):
        bss_eval(sounds()[0, 0], sounds()[0, 0], RATE)
    with pytest.raises(ValueError, match="must be positive, got 0 s and 1.0 s"):
        bss_eval(sounds(), sounds(), RATE, window_seconds=0)


def without(statement: str, environment: dict[str, str]) -> str:
    code = f"{statement}\nimport numpy as np\nfrom tfsep.metrics import bss_eval\nx = np.random.rand(2, 4000)\n"
    code += "try:\n    print(bss_eval(x, x, 4000)['sdr'].shape)\nexcept ModuleNotFoundError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_without_the_package_the_extra_is_named() -> None:
    hide = "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n: None if n == 'museval' else find(n)"
    assert without(hide, dict(os.environ, PYTHONPATH=ROOT)).endswith("pip install tfsep[eval]")


def test_no_ffmpeg_is_needed(tmp_path: Path) -> None:
    assert without("", dict(os.environ, PYTHONPATH=ROOT, PATH=str(tmp_path))) == "(2,)"
