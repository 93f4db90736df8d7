"""Posteriors over magnitudes: what both share, masks, weights, seeds, graphs, and priors that they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.known_priors import notes
from tfsep import mixing, posteriors, priors
from tfsep.audio import front_end as front_ends
from tfsep.errors import InputError
from tfsep.metrics.si_sdr import si_sdri
from tfsep.posteriors.kinds import LEARNED, SPECTRAL
from tfsep.posteriors.spectral import divergence, explained
from tfsep.runtime import progress

Spectra = Callable[..., list[Any]]
PAIR = ("sine", "sawtooth")
LENGTH = 1024
FRAMES = {"frame_length": 512, "frame_step": 128, "frame_multiple": 2}
STFT = front_ends.build("log_stft", **FRAMES)
MEL = front_ends.build("log_mel", num_mels=64, sample_rate=16000, **FRAMES)
LEVELLED = front_ends.build("log_stft", level=0.1, **FRAMES)
WIDE = {"largest_sigma": 16.0, "num_levels": 12}
SHORT: dict[str, dict[str, Any]] = {
    "spectral_langevin": {"num_levels": 3, "num_steps": 2, "num_restarts": 2},
    "spectral_latent": {"num_steps": 4, "num_restarts": 2},
}
GLOW = {"squeeze": (2, 4), "num_levels": 1, "num_steps": 1, "width": 4, "num_layers": 1, "network": "wavenet"}


@pytest.fixture(scope="module")
def flows() -> list[Any]:
    """Two Glows over spectra, initialised on their sources and not trained."""
    made = []
    for seed, kind in enumerate(PAIR):
        flow = priors.build("glow", "log_stft", length=LENGTH, front_end=FRAMES, seed=seed, **GLOW)
        flow.initialise(flow.analyse(tf.constant(notes(kind, 16, LENGTH, seed))), 0.1)
        made.append(flow)
    return made


@pytest.fixture(scope="module")
def mixtures() -> tuple[np.ndarray, np.ndarray]:
    """Mixtures (4, time), the mean of two sources, and the sources (4, 2, time)."""
    sources = np.stack([notes(kind, 4, LENGTH, 10 + seed) for seed, kind in enumerate(PAIR)], axis=1)
    return sources.mean(axis=1), sources


def gained(found: Any, sources: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """SI-SDRi in dB of estimates (1, batch, source, time): the mean of each source."""
    each: np.ndarray = np.clip(si_sdri(np.asarray(found[0]), sources, mixture[:, np.newaxis]), -100, 100).mean(axis=0)
    return each


@pytest.mark.parametrize("kind", SPECTRAL)
def test_stems_sum_to_the_mixture_at_any_gains_seed_for_seed(
    kind: str, flows: list[Any], mixtures: tuple[np.ndarray, np.ndarray]
) -> None:
    mixture, gains = mixtures[0], (0.7, -0.4)
    sampler = posteriors.build(kind, flows, gains=gains, **SHORT[kind])
    found = sampler.sample(mixture, 2, (1, 2))
    assert found.shape == (2, 4, 2, LENGTH) and np.isfinite(found).all()
    np.testing.assert_allclose(mixing.mix(found, gains), np.stack([mixture] * 2), atol=1e-5)
    np.testing.assert_array_equal(sampler.sample(mixture, 2, (1, 2)), found)
    assert np.abs(sampler.sample(mixture, 2, (1, 3)) - found).max() > 1e-3
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("kind", SPECTRAL)
def test_a_graph_and_a_loop_in_parts_give_the_same(
    kind: str, flows: list[Any], mixtures: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = tf.constant(mixtures[0])
    sampler = posteriors.build(kind, flows, **SHORT[kind])
    whole = sampler.sample(mixture, 1, (1, 2))
    in_graph = tf.function(lambda wave: sampler.sample(wave, 1, (1, 2)), autograph=False)(mixture)
    np.testing.assert_allclose(in_graph, whole, atol=1e-4)
    monkeypatch.setattr(progress, "PARTS", 2)
    reports: list[tuple[str, int, int]] = []
    with progress.reporting_to(lambda *report: reports.append(report)):
        assert sampler.reports()
        np.testing.assert_allclose(sampler.sample(mixture, 1, (1, 2)), whole, atol=1e-4)
    total = {"spectral_langevin": 3, "spectral_latent": 4}[kind]
    assert reports == [(kind, 2, total), (kind, total, total)] and not sampler.reports()


@pytest.mark.slow
def test_xla_gives_the_same(flows: list[Any], mixtures: tuple[np.ndarray, np.ndarray]) -> None:
    short = {**SHORT["spectral_langevin"], "stacked": False}
    plain = posteriors.build("spectral_langevin", flows, jit_compile=False, **short)
    compiled = posteriors.build("spectral_langevin", flows, jit_compile=True, **short)
    assert compiled.compiles(1, 2) and not plain.compiles(1, 2)
    found = (each.sample(mixtures[0][:2], 1, (1, 2)) for each in (plain, compiled))
    np.testing.assert_allclose(*found, atol=1e-3)


@pytest.mark.parametrize("kind", SPECTRAL)
def test_memory_grows_with_the_chains(kind: str, flows: list[Any]) -> None:
    one, four = (posteriors.build(kind, flows, **{**SHORT[kind], "num_restarts": n}) for n in (1, 4))
    assert four.memory(1) == one.memory(4) == 4 * one.memory(1) > 4 * 8 * LENGTH


@pytest.mark.parametrize("front_end", [STFT, MEL, LEVELLED], ids=lambda each: f"{each.domain}_{each.level}")
def test_true_magnitudes_give_good_masks(
    front_end: Any, spectra_priors: Spectra, mixtures: tuple[np.ndarray, np.ndarray]
) -> None:
    """The Wiener filter of the true magnitudes; and any loudness of the mixture gives the same masks."""
    mixture, sources = mixtures
    sampler: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, front_end), **WIDE)
    magnitudes = 0.5 * sampler.magnitudes(sampler.observe(tf.reshape(sources, [-1, LENGTH])))
    magnitudes = tf.reshape(magnitudes, [1, 4, 2, *magnitudes.shape[1:]])
    found = sampler.masked(mixture, magnitudes)
    assert gained(found, sources, mixture).min() > (5.0 if front_end is MEL else 14.0)
    np.testing.assert_allclose(sampler.masked(10 * mixture, 10 * magnitudes), 10 * found, atol=1e-3)
    np.testing.assert_allclose(tf.reduce_mean(found[0], axis=1), mixture, atol=1e-5)


def test_where_nothing_is_found_sources_share_the_mixture(spectra_priors: Spectra) -> None:
    sampler: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, MEL))
    mixture = np.random.default_rng(0).normal(size=(1, LENGTH)).astype(np.float32)
    nothing = tf.zeros([1, 1, 2, *sampler.event_shape])
    np.testing.assert_allclose(sampler.masked(mixture, nothing)[0, 0], np.stack([mixture[0]] * 2), atol=1e-5)
    assert np.isfinite(sampler.sample(np.zeros((1, LENGTH), np.float32), 1, (0, 0))).all()


def test_the_divergence_is_that_of_poisson_likelihoods() -> None:
    """It is zero for equal magnitudes, and differs from minus the log-likelihood by a constant."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(5.0, size=(1, 3, 4)).astype(np.float32)
    rates = [tf.constant(rng.uniform(1.0, 9.0, size=(1, 3, 4)), tf.float32) for _ in range(2)]
    first, second = (float(divergence(counts, rate, 1e-6)[0]) for rate in rates)
    wanted = [float(tf.reduce_sum(rate - counts * tf.math.log(rate))) for rate in rates]
    assert first > 0.0 and float(divergence(counts, counts, 1e-6)[0]) == pytest.approx(0.0, abs=1e-5)
    assert first - second == pytest.approx(wanted[0] - wanted[1], rel=1e-4)


def test_free_weights_find_the_levels_and_never_raise_the_divergence(spectra_priors: Spectra) -> None:
    sampler: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, LEVELLED))
    rng = np.random.default_rng(1)
    magnitudes = tf.constant(rng.gamma(0.5, size=(2, 2, *sampler.event_shape)), tf.float32)
    true = tf.constant([[0.9, 0.1], [0.2, 0.5]])
    observed, weights, before = explained(true, magnitudes), sampler.first_weights(2), np.full(2, np.inf)
    np.testing.assert_allclose(weights, np.full((2, 2), 0.5**0.5), rtol=1e-6)
    for _ in range(200):
        cost = divergence(observed, explained(weights, magnitudes), sampler.front_end.floor)
        assert np.all(cost <= before + 1e-2)
        weights, before = sampler.updated_weights(observed, weights, magnitudes), np.asarray(cost)
    np.testing.assert_allclose(weights, true, atol=2e-3)
    fixed: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), gains=(0.7, -0.4))
    np.testing.assert_allclose(fixed.first_weights(1), [[0.7, 0.4]], rtol=1e-6)
    assert fixed.updated_weights(observed, weights, magnitudes) is weights


def test_sources_of_one_level_in_training_are_found_at_others(spectra_priors: Spectra) -> None:
    """The weights take what the features leave out; stems scale with the mixture."""
    sources = np.stack([notes(kind, 4, LENGTH, 20 + seed) for seed, kind in enumerate(PAIR)], axis=1)
    sources *= np.array([0.3, 1.0], np.float32)[:, np.newaxis]
    mixture = sources.sum(axis=1)
    sampler = posteriors.build("spectral_langevin", spectra_priors(PAIR, LEVELLED), gains=(1.0, 1.0), **WIDE)
    found = sampler.sample(mixture, 1, (1, 0))
    assert gained(found, sources, mixture).min() > 8.0
    np.testing.assert_allclose(sampler.sample(8.0 * mixture, 1, (1, 0)), 8.0 * found, atol=1e-2)


def test_the_restart_with_the_smallest_divergence_is_kept(
    spectra_priors: Spectra, mixtures: tuple[np.ndarray, np.ndarray]
) -> None:
    sampler: Any = posteriors.build("spectral_langevin", spectra_priors(PAIR, STFT), num_restarts=3, num_levels=2)
    mixture, seed = tf.constant(mixtures[0]), tf.constant([3, 4])
    weights, features = sampler.run_chains(mixture, 3, seed, None)
    magnitudes = weights[..., tf.newaxis, tf.newaxis] * sampler.magnitudes(features)
    observed = tf.tile(sampler.magnitudes(sampler.observe(mixture)), [3, 1, 1])
    cost = tf.reshape(divergence(observed, tf.reduce_sum(magnitudes, axis=1), STFT.floor), [3, 4])
    best = np.argmin(cost, axis=0)
    each = tf.reshape(magnitudes, [3, 4, 2, *sampler.event_shape])
    wanted = sampler.masked(mixture, tf.stack([[each[best[i], i] for i in range(4)]]))
    np.testing.assert_allclose(sampler.sample(mixture, 1, seed), wanted, atol=1e-5)
    assert len(set(best.tolist())) > 1


@pytest.mark.parametrize("kind", SPECTRAL)
@pytest.mark.parametrize("none", [None, []])
def test_no_priors_are_refused(kind: str, none: Any) -> None:
    with pytest.raises(InputError, match=f"posterior '{kind}' needs a prior for each source, and this model has none"):
        posteriors.build(kind, none)


@pytest.mark.parametrize("kind", SPECTRAL)
def test_priors_over_waves_are_refused_with_what_serves(kind: str) -> None:
    wave = priors.build("gaussian", length=64, variances=1.0)
    message = f"^posterior '{kind}' needs priors over magnitudes .*, got 'gaussian' over 'wave'; use 'gibbs' or another"
    with pytest.raises(InputError, match=message):
        posteriors.build(kind, [wave, wave])


@pytest.mark.parametrize("kind", sorted(set(posteriors.KINDS) - {*LEARNED, *SPECTRAL, "composition"}))
def test_samplers_over_waves_refuse_magnitudes_with_what_serves(kind: str, flows: list[Any]) -> None:
    message = f"^posterior '{kind}' needs priors over 'wave', got 'glow' over 'log_stft'; use 'spectral_langevin' or "
    with pytest.raises(InputError, match=message):
        posteriors.build(kind, flows)


@pytest.mark.parametrize("kind", SPECTRAL)
def test_priors_that_do_not_fit_together_are_refused(kind: str, flows: list[Any]) -> None:
    other = priors.build("glow", "log_stft", length=2 * LENGTH, front_end=FRAMES, **GLOW)
    with pytest.raises(InputError, match=f"priors of '{kind}' must share one front end and one length"):
        posteriors.build(kind, [flows[0], other])
    shapeless = priors.build("glow", "log_stft", event_shape=flows[0].event_shape, front_end=FRAMES, **GLOW)
    with pytest.raises(InputError, match="needs priors that were built with a length in samples"):
        posteriors.build(kind, [shapeless, shapeless])


@pytest.mark.parametrize("kind", SPECTRAL)
def test_mixtures_and_starts_of_another_length_are_refused(kind: str, flows: list[Any]) -> None:
    sampler = posteriors.build(kind, flows, **SHORT[kind])
    with pytest.raises(InputError, match=rf"the mixture of '{kind}' must be .*{LENGTH}.*got \(1, 9\)"):
        sampler.sample(np.zeros((1, 9), np.float32), 1, (0, 0))
    with pytest.raises(InputError, match=f"the start of '{kind}' must be"):
        sampler.sample(np.zeros((1, LENGTH), np.float32), 1, (0, 0), start=np.zeros((1, 3, LENGTH), np.float32))


@pytest.mark.parametrize("kind", SPECTRAL)
@pytest.mark.parametrize(("name", "value"), [("num_restarts", 0), ("mask_exponent", 0.0), ("mask_exponent", 10.0)])
def test_settings_that_both_have_are_checked(kind: str, name: str, value: float, flows: list[Any]) -> None:
    with pytest.raises(InputError, match="num_restarts must be at least 1 and mask_exponent within 0..10, got"):
        posteriors.build(kind, flows, **{name: value})
