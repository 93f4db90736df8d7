"""Coverage: what a law covers of itself, what it misses, and temperatures that set a wrong spread right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfsep.evaluation import calibration
from tfsep.evaluation.calibration import NUM_DRAWS, Coverage

GAINS = (0.5, 0.5)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Shaken:
    """A posterior that draws around zero with a spread of its own for each source; temperatures multiply it."""

    gains, num_sources = GAINS, 2

    def __init__(self, *spread: float) -> None:
        self.spread = np.array(spread)[:, np.newaxis]
        self.temperature: tuple[float, ...] = (1.0, 1.0)

    def sample(self, mixtures: np.ndarray, num_samples: int, seed: Any) -> np.ndarray:
        shape = (num_samples, len(mixtures), 2, mixtures.shape[-1])
        scale = self.spread * np.array(self.temperature)[:, np.newaxis]
        return np.random.default_rng(seed).normal(size=shape) * scale / 0.5


def test_intervals_of_a_distribution_cover_its_own_draws_at_their_nominal_rate() -> None:
    coverage = Coverage()
    for seed in range(2):
        coverage.add(normal(NUM_DRAWS, 20, 2, 400, seed=seed), normal(20, 2, 400, seed=9 + seed))
    found = coverage.record(("sine", "square"))
    for nominal, share in (("50", 0.5), ("90", 0.9)):
        assert set(found[nominal]) == {"sine", "square", "all"}
        assert all(value == pytest.approx(share, abs=0.02) for value in found[nominal].values())


def test_a_distribution_that_is_too_narrow_covers_less_and_silence_is_left_out() -> None:
    references = normal(10, 2, 400)
    references[:, 1] = 0.0
    coverage = Coverage()
    coverage.add(0.3 * normal(NUM_DRAWS, 10, 2, 400, seed=1), references)
    found = coverage.record(("sine", "square"))
    assert found["90"]["square"] is None
    assert found["90"]["sine"] == found["90"]["all"]
    assert 0.3 < found["90"]["sine"] < 0.5
    assert "90 % intervals cover: sine" in calibration.as_text(found) and "square" not in calibration.as_text(found)


def test_another_number_of_draws_is_refused() -> None:
    with pytest.raises(ValueError, match="coverage is counted with 39 draws, got 10"):
        Coverage().add(normal(10, 2, 2, 5), normal(2, 2, 5))


def test_temperatures_make_the_intervals_honest() -> None:
    """True errors of 1 and 2 under spreads of 0.2 and 4."""
    posterior: Any = Shaken(0.2, 4.0)
    mixtures, references = normal(24, 300), normal(24, 2, 300, seed=1) * np.array([[1.0], [2.0]], np.float32)
    found = calibration.fit_temperature(posterior, mixtures, references)
    assert posterior.temperature == pytest.approx(found, rel=1e-3)
    np.testing.assert_allclose(found, (5.0, 0.5), rtol=0.08)
    fresh = normal(24, 2, 300, seed=2) * np.array([[1.0], [2.0]], np.float32)
    covered = calibration.measure(
        lambda part: calibration.draws_of(posterior, part, 7), mixtures, fresh, ("sine", "square")
    )
    assert all(0.87 < share < 0.93 for share in covered["90"].values())
    assert all(0.46 < share < 0.54 for share in covered["50"].values())
