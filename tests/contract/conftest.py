"""Every kind of prior over every domain it knows, small, for the one contract that all of them keep.

A new kind joins by one line: in FLOWS, or in CASES if it is no flow.

Flows start as the identity, so tests of their mathematics look at copies with random weights; tests
of what they learn share one training per flow on Gaussian events of a known covariance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors

SPECTRAL = {"domain": "log_stft", "length": 24, "front_end": {"frame_length": 16, "frame_step": 8}}
WAVE = {"domain": "wave", "length": 16}
MEL = {"domain": "log_mel", "length": 24, "front_end": {"frame_length": 16, "frame_step": 8, "num_mels": 4}}
TINY = {"num_steps": 1, "width": 8, "num_layers": 1, "condition_width": 8, "sigma_range": (0.01, 8.0)}
SMALL = {"num_levels": 2, **TINY}
FILM = {"conditioning": "film"}
FLOWS: dict[str, dict[str, Any]] = {
    "flowavenet_wave": {"kind": "flowavenet", "split_every": 1, **WAVE, **SMALL, "num_steps": 2},
    "glow_log_mel": {"kind": "glow", "squeeze": 2, **MEL, **SMALL, **FILM},
    "glow_log_stft_ordered": {"kind": "glow", "squeeze": (1, 2), **SPECTRAL, **SMALL, "num_levels": 1, "ordered": True},
    "glow_log_stft_gaussian": {
        **{"kind": "glow", "squeeze": (1, 2), **SPECTRAL, **SMALL, "num_levels": 1, "ordered": True},
        **{"conditional": "gaussian", "predictor_width": 8, "bound": 7.0},
    },
    "glow_log_stft": {"kind": "glow", "squeeze": 2, **SPECTRAL, **SMALL},
    "glow_wave": {"kind": "glow", "squeeze": 4, **WAVE, **SMALL},
    "lifting_log_stft": {
        **{"kind": "lifting", "squeeze": (1, 2), "num_levels": 2, "num_steps": 1, **SPECTRAL, "width": 16},
        **{"num_blocks": 1, "condition_width": 8, "sigma_range": (0.01, 8.0), "trunk": {"width": 8, "num_layers": 1}},
    },
    "lifting_wave": {
        "kind": "lifting",
        **WAVE,
        **{"num_levels": 1, "squeeze": 4, "num_steps": 1, "condition_width": 8, "sigma_range": (0.01, 8.0)},
        **{"trunk": {"width": 8, "num_layers": 1}, "width": 8, "num_blocks": 1, "local_width": 4, "local_layers": 1},
        "local_block": 4,
    },
    "nice_log_mel": {"kind": "nice", "squeeze": 2, **MEL, **TINY, **FILM, "num_steps": 4},
    "nice_log_stft": {"kind": "nice", "squeeze": 2, **SPECTRAL, **TINY, "num_steps": 4, "network": "wavenet"},
    "nice_wave_ordered": {"kind": "nice", "squeeze": 4, **WAVE, **TINY, "num_steps": 4, "ordered": True},
    "nice_wave": {"kind": "nice", "squeeze": 4, **WAVE, **TINY, "num_steps": 4},
    "realnvp_log_mel": {"kind": "realnvp", "squeeze": 2, **MEL, **SMALL, "num_levels": 1, "num_steps": 3},
    "realnvp_log_stft": {"kind": "realnvp", "squeeze": 2, **SPECTRAL, **SMALL, "num_steps": 3},
    "realnvp_wave_ordered": {"kind": "realnvp", "squeeze": 4, **WAVE, **SMALL, "num_levels": 1, "ordered": True},
    "realnvp_wave": {"kind": "realnvp", "squeeze": 4, **WAVE, **SMALL, "num_steps": 3},
    "spectral_realnvp_wave": {
        **{"kind": "spectral_realnvp", **WAVE, "num_levels": 2, "width": 8, "num_blocks": 1, "lower_width": 4},
        **{"context": 2, "local_width": 4, "num_neighbours": 3, "condition_width": 8, "sigma_range": (0.01, 8.0)},
        "score_of": "gradient",
    },
    "spectral_realnvp_with_pitches": {
        **{"kind": "spectral_realnvp", **WAVE, "num_levels": 2, "width": 8, "num_blocks": 1, "lower_width": 4},
        **{"context": 2, "local_width": 4, "num_neighbours": 3, "condition_width": 8, "sigma_range": (0.01, 8.0)},
        **{"score_of": "gradient", "num_pitches": 5, "pitch_range": (1200.0, 4000.0), "num_partials": 12},
    },
    "spectral_realnvp_with_decays": {
        **{"kind": "spectral_realnvp", **WAVE, "num_levels": 2, "width": 8, "num_blocks": 1, "lower_width": 4},
        **{"context": 2, "local_width": 4, "num_neighbours": 3, "condition_width": 8, "sigma_range": (0.01, 8.0)},
        **{"score_of": "gradient", "pitch_range": (1200.0, 4000.0), "num_partials": 12, "decay_range": (4e-4, 4e-3)},
    },
    "waveglow_wave": {"kind": "waveglow", "early_every": 2, **WAVE, **TINY, **FILM, "num_steps": 3},
}
IDEAL = {"kind": "ideal_toy", "source": "sawtooth", "num_phases": 8, "num_refined": 2, "num_rounds": 1, **WAVE}
SPECTRUM = {"kind": "gaussian", "spectrum": [0.5, 2.0, 1.0, 0.3, 0.2, 0.1, 0.05, 0.0, 0.4], **WAVE}
VARIANCES = {"kind": "gaussian", "variances": 0.3, "mean": 0.2, **WAVE}
CELLS = {"kind": "wavetable", "num_phases": 8, "num_refined": 2, "num_rounds": 2, "pitch_range": (500, 4000), **WAVE}
SCORE = {"kind": "score", "sigma_range": (0.01, 8.0), "condition_width": 8, "num_sampling_steps": 4}
GRID = {"num_pitches": 6, **CELLS}
GLIDING = {"pitches": "continuous", "num_pitches": 4, "decay_range": (5e-4, 5e-3), "num_decays": 2, **CELLS}
CASES = {
    **FLOWS,
    "ideal_toy_wave": IDEAL,
    "gaussian_spectrum": SPECTRUM,
    "gaussian_variances": VARIANCES,
    "score_log_stft": {**SCORE, "network": "convolutions", **SPECTRAL, "width": 4, "num_layers": 1},
    "score_wave": {**SCORE, **WAVE, "width": 8, "num_blocks": 1, "local_width": 4, "local_layers": 1},
    "template_wave": {"kind": "template", "num_templates": 4, **WAVE},
    "wavetable_continuous": GLIDING,
    "wavetable_grid": GRID,
}
# The fast suite looks at the core of the contract for CORE and at the rest for FAST, the whole suite at all for all.
FAST = ("glow_log_stft", "glow_wave", "ideal_toy_wave", "realnvp_log_stft", "realnvp_wave", "score_wave")
CORE = (*FAST, "flowavenet_wave", "lifting_wave", "nice_wave", "spectral_realnvp_wave", "waveglow_wave")
# Noise is the floor of their variances, in units of their own, so they have no clean variant.
NEVER_CLEAN = (
    "glow_log_stft_gaussian",
    "spectral_realnvp_wave",
    "spectral_realnvp_with_decays",
    "spectral_realnvp_with_pitches",
)
# By how much more than elsewhere rounding may count: a fit of four numbers to eight samples amplifies it.
ROUNDING = {"spectral_realnvp_with_decays": 50.0}
# What a kind needs to learn the Gaussian: steps of the flow, where it has them, and of the training; other events
# (see lifting.py).
TO_LEARN = {
    "flowavenet": (6, 1200),
    "glow": (2, 450),
    "lifting": (4, 1200),
    "nice": (8, 1200),
    "realnvp": (4, 450),
    "spectral_realnvp": (None, 450),
    "waveglow": (4, 900),
}
# Nats per dimension that the nearest member of a family stays from the Gaussian: the real and the imaginary parts of
# the Gaussian's bins have different covariances, and this kind predicts both by the same weights (at noise of 0.01 the
# best weights of three neighbours leave 0.0328).
FAMILY_GAP = {"spectral_realnvp": 0.033}
# For the same reason the best conditionals of three neighbours bring 0.886 of what denoising can gain at noise of 0.1.
FAMILY_SHARE = {("spectral_realnvp", "conditionals"): 0.886}
# Gradients of a template's fit are rough under loud noise, so this flow is for scores by conditionals.
LEARNED_OVER: dict[str, dict[str, Any]] = {
    "glow_log_stft_gaussian": {"length": None, "event_shape": (1, 16, 1)},
    "lifting_log_stft": {"length": None, "event_shape": (1, 16, 1)},
    "spectral_realnvp_with_decays": {"score_of": "conditionals"},
    "spectral_realnvp_with_pitches": {"score_of": "conditionals"},
}


def params(names: Iterable[str], fast: Iterable[str] = FAST) -> list[Any]:
    """Names as the parameters of a fixture, marked slow unless they are among the fast ones."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in sorted(names)]


@dataclass(frozen=True)
class Case:
    """One prior of the list, to be built in any variant."""

    name: str

    def build(self, **changes: Any) -> Any:
        """The untrained prior."""
        prior: Any = priors.build(**{**CASES[self.name], **changes})
        if prior.kind == "template":
            # Three recordings kept, and room for one more.
            rng, shape = np.random.default_rng(3), prior.recordings.shape
            prior.recordings.assign(rng.normal(size=shape) * (np.arange(4) < 3)[:, np.newaxis])
        return prior

    def scrambled(self, **changes: Any) -> Any:
        """The prior with random weights, where it has weights: no map in it is the identity."""
        prior = self.build(**changes)
        rng = np.random.default_rng(5)
        for weight in getattr(prior, "trainable_variables", ()):
            weight.assign_add(0.1 * rng.normal(size=weight.shape))
        return prior


def events(prior: Any, num: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    """Normal noise in the shape of a prior's events, float64."""
    return spread * np.random.default_rng(seed).normal(size=(num, *prior.event_shape))


@functools.cache
def single(name: str) -> Any:
    return Case(name).scrambled()


@functools.cache
def double(name: str) -> Any:
    prior = Case(name).build(dtype="float64")
    if getattr(prior, "weights", None):
        prior.set_weights(single(name).get_weights())
    return prior


def covariance_of(event_shape: tuple[int, ...]) -> np.ndarray:
    """A covariance that falls with the distance along each axis; variance 0.5."""
    matrix = np.array([[0.5]])
    for size, decay in zip(event_shape[:-1], (0.8, 0.5), strict=False):
        place = np.arange(size)
        matrix = np.kron(matrix, decay ** np.abs(place[:, np.newaxis] - place))
    return matrix


class GaussianTraining:
    """Maximum likelihood of a flow on noised Gaussian events whose density is known at every noise level."""

    def __init__(self, case: Case, batch: int = 128) -> None:
        num_steps, self.enough = TO_LEARN[CASES[case.name]["kind"]]
        self.batch, self.steps, over = batch, 0, LEARNED_OVER.get(case.name, {})
        depth = {} if num_steps is None else {"num_steps": num_steps}
        self.prior = case.build(**depth, **over)
        self.covariance = covariance_of(self.prior.event_shape)
        self._factor = tf.constant(np.linalg.cholesky(self.covariance), tf.float32)
        self._log_range = tuple(np.log(sigma) for sigma in self.prior.sigma_range)
        self._variables = [variable.value for variable in self.prior.trainable_variables]
        self._moments = [[tf.Variable(tf.zeros_like(v)) for v in self._variables] for _ in range(2)]
        self._step = tf.function(self._adam, autograph=False)
        clean, sigma, noised = self.draw(1024, (0, 0))
        self.prior.initialise(noised, sigma)

    def draw(self, num: int, seed: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Clean events, noise levels log-uniform over the prior's range, noised events."""
        dimensions, seed = self.prior.dimensions, tf.cast(seed, tf.int32)
        normal = tf.random.stateless_normal((2, num, dimensions), seed)
        low, high = self._log_range
        sigma = tf.exp(tf.random.stateless_uniform((num,), seed + 7, low, high))
        clean = tf.matmul(normal[0], self._factor, transpose_b=True)
        noised = clean + sigma[:, tf.newaxis] * normal[1]
        shape = (num, *self.prior.event_shape)
        return tf.reshape(clean, shape), sigma, tf.reshape(noised, shape)

    def _adam(self, step: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        _, sigma, noised = self.draw(self.batch, tf.stack([1, step]))
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(self.prior.nats_per_dim(noised, sigma))
        gradients = tape.gradient(loss, self._variables)
        count = tf.cast(step, tf.float32) + 1.0
        for variable, gradient, first, second in zip(self._variables, gradients, *self._moments, strict=True):
            first.assign(0.9 * first + 0.1 * gradient)
            second.assign(0.99 * second + 0.01 * gradient**2)
            size = tf.sqrt(second / (1.0 - 0.99**count)) + 1e-8
            variable.assign_sub(rate * first / (1.0 - 0.9**count) / size)
        return loss

    def run(self, num_steps: int, rate: float = 5e-3) -> float:
        """Go on for ``num_steps``, the rate falling to a tenth; return the last loss."""
        for step in range(num_steps):
            now = rate * 0.1 ** (step / num_steps)
            loss = self._step(tf.constant(self.steps), tf.constant(now, tf.float32))
            self.steps += 1
        return float(loss)

    def true_log_prob(self, noised: Any, sigma: float) -> np.ndarray:
        """Log-density of N(0, covariance + sigma^2 I) in nats: (batch,)."""
        flat = np.reshape(np.asarray(noised, np.float64), (len(noised), -1))
        matrix = self.covariance + sigma**2 * np.eye(flat.shape[1])
        quadratic = np.einsum("bi,bi->b", flat, np.linalg.solve(matrix, flat.T).T)
        return -0.5 * (quadratic + np.linalg.slogdet(2.0 * np.pi * matrix)[1])


@functools.cache
def _training(name: str) -> GaussianTraining:
    return GaussianTraining(Case(name))


@pytest.fixture(scope="session", params=params(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture(scope="session", params=params(FLOWS))
def flow_case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture(scope="session", params=params(set(FLOWS) - set(NEVER_CLEAN)))
def clean_case(request: pytest.FixtureRequest) -> Case:
    """Flows that also come without noise levels."""
    return Case(request.param)


@pytest.fixture(scope="session")
def cases() -> dict[str, dict[str, Any]]:
    """Settings of all cases by name."""
    return CASES


@pytest.fixture(scope="session", params=params(FLOWS, fast=CORE))
def core_case(request: pytest.FixtureRequest) -> Case:
    """For what makes a flow a density at all."""
    return Case(request.param)


@pytest.fixture(scope="session", params=params(FLOWS, fast=["glow_log_stft"]))
def some_flow_case(request: pytest.FixtureRequest) -> Case:
    """For checks that take seconds each: all flows in the whole suite, one of them in the fast one."""
    return Case(request.param)


@pytest.fixture(scope="session", params=params(CASES, fast=["glow_log_stft"]))
def some_case(request: pytest.FixtureRequest) -> Case:
    """The same for every kind of prior."""
    return Case(request.param)


@pytest.fixture(scope="session", params=params(CASES, fast=["glow_wave", "ideal_toy_wave"]))
def compiled_case(request: pytest.FixtureRequest) -> Case:
    """For XLA, which takes longest over a plane."""
    return Case(request.param)


@pytest.fixture(scope="session")
def prior(case: Case) -> Any:
    """Float32, random weights; read only."""
    return single(case.name)


@pytest.fixture(scope="session")
def prior64(case: Case) -> Any:
    """The same in float64; read only."""
    return double(case.name)


@pytest.fixture(scope="session")
def density64(prior64: Any) -> Any:
    """A prior in float64 that is a density; what only has a score is left out."""
    if not prior64.has_log_prob:
        pytest.skip(f"{prior64.describe()}: no density")
    return prior64


def methods(prior: Any) -> list[Callable[..., tf.Tensor]]:
    """What a prior answers about events, the log-density included where it has one."""
    return [*([prior.log_prob] if prior.has_log_prob else []), prior.score, prior.denoise]


@pytest.fixture(scope="session")
def answers() -> Callable[[Any], list[Callable[..., tf.Tensor]]]:
    return methods


@pytest.fixture(scope="session")
def flow(flow_case: Case) -> Any:
    """Float32, random weights; read only."""
    return single(flow_case.name)


@pytest.fixture(scope="session")
def flow64(flow_case: Case) -> Any:
    """The same in float64; read only."""
    return double(flow_case.name)


@pytest.fixture(scope="session")
def core(core_case: Case) -> Any:
    """Float32, random weights; read only."""
    return single(core_case.name)


@pytest.fixture(scope="session")
def core64(core_case: Case) -> Any:
    """The same in float64; read only."""
    return double(core_case.name)


@pytest.fixture(scope="session")
def training(some_flow_case: Case) -> GaussianTraining:
    """A flow in training on Gaussian events; tests may go on with it."""
    return _training(some_flow_case.name)


@pytest.fixture(scope="session")
def noise_events() -> Callable[..., np.ndarray]:
    return events


@pytest.fixture(scope="session")
def case_named() -> Callable[[str], Case]:
    return Case
