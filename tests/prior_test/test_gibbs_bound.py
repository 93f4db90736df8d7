"""Gibbs' bound, reached by no density but the noise's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfsep.evaluation.prior_scorer import PriorScorer
from tfsep.prior_test.gibbs_bound import bound, gibbs_rows


def test_gibbs_bound_is_reached_by_the_noise_itself(kinds: dict[str, Any]) -> None:
    rows = np.array(gibbs_rows(PriorScorer("x", kinds["noisy"](np.full(64, 0.09))), 64, 0))
    spreads, variance = rows[:, 0], 0.09 + 0.01**2
    expected = -0.5 * (spreads**2 / variance + np.log(2 * np.pi * variance))
    np.testing.assert_allclose((rows[:, 1] - expected) / np.maximum(1.0, spreads**2 / variance), 0.0, atol=0.02)
    np.testing.assert_allclose(rows[:, 2], [bound(s) for s in spreads])
    assert np.all(rows[:, 1] <= rows[:, 2] + 1e-3)
    assert rows[3, 1] == pytest.approx(rows[3, 2], abs=1e-3)
