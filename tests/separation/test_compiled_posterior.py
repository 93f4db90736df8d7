"""A posterior that compiles itself keeps its programs from chunk to chunk; short chunks run as plain graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.runtime import progress, xla
from tfsep.separation.separator import Separator


def around(jit_compile: bool | None) -> Separator:
    """A separator of two Gaussian sources that takes two segments of 16 samples at once."""
    each = [priors.build("gaussian", length=16, variances=variance) for variance in (0.3, 1.0)]
    few = {"num_levels": 2, "num_steps": 2, "smallest_sigma": 0.1, "delta": 1e-3, "num_restarts": 1}
    sampler: Any = posteriors.build("langevin", each, jit_compile=jit_compile, **few)
    names: dict[str, Any] = {"name": "two", "sources": ("low", "high"), "sample_rate": 8000, "settings": {}}
    model = SimpleNamespace(**names, posterior=sampler, segment=sampler.segment, gains=sampler.gains)
    return Separator(model, overlap=0.0, chunk_size=2)


def traced(separator: Separator) -> tuple[int, int]:
    """Programs compiled by XLA, and plain graphs that the posterior has traced, by itself or within the separator's."""
    found = separator.model.posterior.programs
    return found.compiled.experimental_get_tracing_count(), found._plain.experimental_get_tracing_count()


def test_one_program_serves_all_full_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five segments are two chunks of two, each 5 x 2 x 16 samples of work, and one of one."""
    monkeypatch.setattr(xla, "LEAST_WORK", 5 * 2 * 16)
    waveform = np.random.default_rng(0).normal(size=80).astype(np.float32)
    plain, compiled = around(False), around(None)
    expected, found = plain(waveform), compiled(waveform)
    assert traced(plain) == (0, 1) and traced(compiled) == (1, 1)
    for name, stem in found.items():
        np.testing.assert_allclose(stem, expected[name], atol=1e-4)
    for name, stem in compiled(waveform).items():
        np.testing.assert_array_equal(stem, found[name])
    assert traced(compiled) == (1, 1)


def test_a_budget_sets_how_many_segments_go_together(caplog: pytest.LogCaptureFixture) -> None:
    plain = around(False)
    bound = plain.model.posterior.memory(1) / 1e9
    sizes = [Separator(plain.model, memory=factor * bound).chunk_size() for factor in (0.5, 1.0, 5.0, 1e6)]
    assert sizes == [1, 1, 4, 256] and Separator(plain.model).chunk_size() == 8
    assert Separator(plain.model, memory=8.0 * bound).chunk_size(num_samples=2) == 4
    again = Separator(plain.model, memory=0.5 * bound)
    assert again.chunk_size() == again.chunk_size() == 1  # the graph is asked once, and complained of once
    assert len(caplog.records) == 2 and "two: a segment may take" in caplog.text
    with pytest.raises(InputError, match="memory must be above 0 GB, got -1"):
        Separator(plain.model, memory=-1.0)


def test_draws_beyond_the_budget_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    model = around(False).model
    separator = Separator(model, memory=5.5e-9 / 8.0 * model.posterior.memory(1))
    waveform = np.random.default_rng(0).normal(size=80).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", 0.1 * waveform, 8000, subtype="FLOAT")
    assert len(separator(waveform, num_samples=5)["low"]) == 5
    calls: dict[str, Callable[[int], object]] = {
        "call": lambda num: separator(waveform, num_samples=num),
        "batch": lambda num: separator.separate_batch(waveform[np.newaxis], num),
        "stream": lambda num: separator.stream(iter([]), 8000, 1, num),
        "file": lambda num: separator.separate_file(tmp_path / "song.wav", tmp_path / "out", num),
    }
    for call in calls.values():
        for num in (6, 1000, 10**8, 2**31 - 1):
            with pytest.raises(
                InputError, match="num_samples must be at most 5 for 'two', as the draws of one segment"
            ):
                call(num)
    assert not (tmp_path / "out").exists()
    small = Separator(model, memory=1.5e-9 / 8.0 * model.posterior.memory(1))
    with pytest.raises(InputError, match="num_samples must be at most 1 for 'two'"):
        small(waveform, num_samples=2)
    small = Separator(model, memory=1e-12)
    assert small.most_samples(10**8) == 1 and small(waveform)["low"].shape == (80,)


@pytest.mark.parametrize("over", [0.0, 0.3, 0.9])
def test_the_largest_number_of_draws_is_exact_where_bounds_are_not_in_proportion(over: float) -> None:
    model = around(False).model
    separator = Separator(model, memory=1e-9 * (100.0 + over) * 100.0)
    separator._bound = lambda num: 100 * num + num**2  # type: ignore[method-assign]
    most = separator.most_samples(10**6)
    assert 100 * most + most**2 <= 1e9 * (separator.memory or 0.0) < 100 * (most + 1) + (most + 1) ** 2
    assert [separator.most_samples(num) for num in (1, most, most + 1)] == [1, most, most]


def test_a_sampler_that_is_observed_gives_the_same_stems() -> None:
    reports: list[tuple[str, int, int]] = []
    separator, waveform = around(None), np.random.default_rng(0).normal(size=80).astype(np.float32)
    expected = separator(waveform)
    with progress.reporting_to(lambda *report: reports.append(report)):
        found = separator(waveform)
    assert reports == [("langevin", 1, 2), ("langevin", 2, 2)] * 3
    for name, stem in found.items():
        np.testing.assert_allclose(stem, expected[name], atol=1e-5)
