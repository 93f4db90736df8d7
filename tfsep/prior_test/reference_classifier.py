"""A classifier as an external referee: told the sources' names on training cuts, it knows nothing of priors.

Its features are the mean and the spread over frames of 32 log mel bands, less their overall mean, so that loudness does
not count; a logistic regression reads them. It bounds from outside what a likelihood should tell apart, and judges
separated stems: do they sound like their source to someone who was not asked to make them?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.audio import front_end as front_ends
from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.prior_test import cross_likelihood
from tfsep.prior_test.cross_likelihood import Rows, Table
from tfsep.prior_test.logistic import LogisticRegression

_MELS, _FRAME = 32, 1024


class Referee:
    """Log-probabilities of the sources for waveforms.

    Args:
        cuts: its training cuts are what it learns from.
        sources: the classes.
        num: training cuts a source.
    """

    def __init__(self, cuts: IsolatedExcerpts, sources: Sequence[str], num: int) -> None:
        """Fit to training cuts."""
        settings = {"frame_length": _FRAME, "frame_step": _FRAME // 4, "num_mels": _MELS}
        self._front_end = front_ends.build("log_mel", sample_rate=cuts.sample_rate, **settings)
        features = [self.features(waves) for source in sources for waves in cuts.batches(source, num, TRAINING)]
        labels = np.repeat(np.arange(len(sources)), num)
        self.sources = tuple(sources)
        self._model = LogisticRegression(np.concatenate(features), labels, len(sources))

    def features(self, waves: np.ndarray) -> np.ndarray:
        """Mean and spread of each band over frames: (batch, time) -> (batch, 64)."""
        bands = self._front_end.analyse(tf.constant(waves, tf.float32))[0].numpy()[..., 0]
        mean = bands.mean(axis=1)
        return np.concatenate([mean - mean.mean(axis=1, keepdims=True), bands.std(axis=1)], axis=1)

    def log_prob(self, waves: np.ndarray) -> np.ndarray:
        """Log-probabilities of the sources: (batch, time) -> (batch, source)."""
        return self._model.log_prob(self.features(waves))

    def table(self, rows: Rows) -> Table:
        """The log-probabilities of rows of cuts, as the tables of priors have their densities."""
        return {row: np.concatenate([self.log_prob(waves) for waves in each()]) for row, each in rows.items()}

    def judge(self, stems: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What it hears in separated stems {source: (batch, time)}.

        Returns:
            The scores of :func:`~tfsep.prior_test.cross_likelihood.discrimination` and ``log_prob``
            {class: {stem: mean}}.
        """
        table = {source: self.log_prob(stems[source]) for source in self.sources}
        means = cross_likelihood.means(table, self.sources, self.sources)
        return {"log_prob": means, **cross_likelihood.discrimination(table, self.sources)}
