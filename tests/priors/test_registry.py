"""Priors by name: what builds, and what is refused in one line that names the rule."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tfsep import priors
from tfsep.errors import InputError
from tfsep.priors import KINDS, Prior

TINY = {"width": 4, "num_layers": 1, "condition_width": 4}
SMALL = {"num_levels": 1, "num_steps": 1, **TINY}
SETTINGS: dict[str, dict[str, Any]] = {
    "flowavenet": {"num_levels": 2, "num_steps": 2, **TINY},
    "glow": {"squeeze": 4, **SMALL},
    "nice": {"squeeze": 4, "num_steps": 2, **TINY},
    "realnvp": {"squeeze": 4, **SMALL},
    "waveglow": {"squeeze": 4, "num_steps": 1, **TINY},
}


def test_kinds_are_all_priors() -> None:
    flows = ["flowavenet", "glow", "lifting", "nice", "realnvp", "spectral_realnvp", "waveglow"]
    assert sorted(KINDS) == sorted([*flows, "gaussian", "ideal_toy", "score", "template", "wavetable"])


@pytest.mark.parametrize("kind", ["glow", "realnvp"])
def test_a_length_stands_for_the_event_that_the_front_end_makes_of_it(kind: str) -> None:
    wave = priors.build(kind, length=32, squeeze=4, **SMALL)
    assert (wave.domain, wave.event_shape, wave.dimensions) == ("wave", (32, 1), 32)
    framing = {"frame_length": 16, "frame_step": 8, "frame_multiple": 4}
    plane = priors.build(kind, "log_stft", length=24, front_end=framing, squeeze=2, **SMALL)
    assert (plane.domain, plane.event_shape, plane.dimensions) == ("log_stft", (4, 8, 1), 32)
    for prior in (wave, plane):
        assert isinstance(prior, Prior) and prior.kind == kind and prior.has_log_prob
        assert prior.sigma_range == (0.01, 1.0)
        assert (prior.smallest_sigma, prior.largest_sigma) == prior.sigma_range


def test_gin_may_give_lists() -> None:
    prior = priors.build("glow", event_shape=[8, 1], squeeze=2, sigma_range=[0.1, 2.0], **SMALL)
    assert prior.event_shape == (8, 1) and prior.largest_sigma == 2.0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"kind": "glo", "length": 32}, "the prior must be one of flowavenet, gaussian, glow, .*, got 'glo'"),
        ({"kind": "glow"}, "either an event_shape or a length in samples"),
        ({"kind": "glow", "length": 32, "event_shape": (32, 1)}, "either an event_shape or a length in samples"),
        ({"kind": "glow", "domain": "cepstrum", "length": 32}, "front end domain must be one of"),
        ({"kind": "glo", "length": 32}, "did you mean 'glow'"),
        ({"kind": "glow", "length": 32, "num_stepz": 3}, "^prior 'glow' has no parameter 'num_stepz'; .* 'num_steps'"),
        (
            {"kind": "glow", "length": 32, "zzz": 3},
            "prior 'glow' has no parameter 'zzz'$",
        ),
        (
            {"kind": "gaussian", "length": 32, "varianc": 3},
            "has no parameter 'varianc'; .* 'variances'",
        ),
        ({"kind": "flowavenet", "length": 32, "squeeze": 4}, "prior 'flowavenet' has no parameter 'squeeze'"),
        ({"kind": "nice", "length": 32, "num_levels": 2}, "prior 'nice' has no parameter 'num_levels'"),
        ({"kind": "glow", "domain": "log_stft", "length": 4096, "dilation_cycle": 3}, "network 'gated_conv' has no .*"),
        ({"kind": "lifting", "length": 256, "trunk": {"widt": 3}}, "trunk of prior 'lifting' has no parameter 'widt'"),
        ({"kind": "score", "length": 32, "frame_step": 4}, "network 'spectral_gain' has no setting 'frame_step'"),
        (
            {"kind": "score", "length": 32, "precision": "bfloat16"},
            "precision must be None for network 'spectral",
        ),
        (
            {"kind": "gaussian", "length": 4, "variances": 1.0, "recompute": "step"},
            "only flows have steps to recomp",
        ),
        ({"kind": "glow", "length": 30, "squeeze": 4}, "must divide the event shape"),
        ({"kind": "glow", "length": 32, "squeeze": 0}, "squeeze factors must be at least 1"),
        ({"kind": "glow", "length": 32, "squeeze": 1}, "channel mask halves axis -1"),
        ({"kind": "glow", "length": 32, "num_levels": 0}, "num_levels must be at least 1"),
        ({"kind": "glow", "length": 32, "num_steps": 0}, "num_steps must be at least 1"),
        ({"kind": "glow", "length": 32, "bound": 0.0}, "bound of a log-scale must be positive"),
        ({"kind": "glow", "length": 32, "kernel_size": 4}, "kernel_size must be odd"),
        ({"kind": "realnvp", "length": 8, "squeeze": 8}, "checkerboard mask halves axis -2"),
        ({"kind": "realnvp", "length": 24, "squeeze": 3, "num_levels": 2}, "level 1 of 2 has 3 channels"),
        ({"kind": "glow", "length": 32, "squeeze": (2, 2)}, r"squeeze must be one factor or 1 of them, got \(2, 2\)"),
        ({"kind": "glow", "length": 32, "conditioning": "gated"}, "conditioning must be one of additive, film"),
        ({"kind": "nice", "length": 21, "squeeze": 3}, r"nice halves the channels or the last axis .* \(7, 3\)"),
        ({"kind": "nice", "length": 32, "num_steps": 1}, "num_steps of nice must be at least 2"),
        ({"kind": "nice", "length": 32, "bound": -1.0}, "bound of a log-scale must be positive"),
        ({"kind": "flowavenet", "length": 32, "num_steps": 1}, "num_steps of flowavenet must be at least 2"),
        ({"kind": "flowavenet", "length": 24, "num_levels": 4}, "must divide the event shape"),
        ({"kind": "flowavenet", "length": 32, "split_every": 0}, "split_every must be at least 1, got 0"),
        ({"kind": "flowavenet", "domain": "log_stft", "length": 4096}, "flowavenet is a density over .* take realnvp"),
        ({"kind": "waveglow", "domain": "log_mel", "length": 4096}, "waveglow is a density over waves, .* take glow"),
        ({"kind": "waveglow", "length": 32, "early_every": 0}, "early_every must be at least 1, got 0"),
        ({"kind": "waveglow", "length": 32, "early_channels": 3}, "early_channels must be even"),
        ({"kind": "waveglow", "length": 32, "num_steps": 5, "early_every": 1}, "leave at least 2 of 4 channels"),
        ({"kind": "waveglow", "length": 32, "squeeze": 5}, "must divide the event shape"),
        ({"kind": "lifting", "length": 16, "squeeze": 4}, "must divide the event shape"),
        (
            {"kind": "lifting", "length": 32, "num_levels": 0, "squeeze": 4},
            "num_levels and num_steps must be at least 1",
        ),
        ({"kind": "lifting", "event_shape": (8, 2)}, r"a density over events \(time, 1\) or .*, got \(8, 2\)"),
        ({"kind": "lifting", "domain": "log_stft", "length": 4096}, r"squeeze factors \(16, 16\) must divide"),
        ({"kind": "spectral_realnvp", "length": 40}, "samples must be a multiple of 16, at least twice"),
        ({"kind": "spectral_realnvp", "length": 64, "num_levels": 0}, "num_levels must be at least 1, got 0"),
        ({"kind": "spectral_realnvp", "length": 64, "context": 0}, "context of a spectral predictor must be at least"),
        ({"kind": "spectral_realnvp", "length": 64, "sigma_range": None}, "noise is the floor of every variance"),
        ({"kind": "spectral_realnvp", "length": 64, "score_of": "both"}, "score_of must be one of gradient, cond"),
        ({"kind": "spectral_realnvp", "domain": "log_stft", "length": 4096}, "a density over waves"),
        ({"kind": "spectral_realnvp", "length": 64, "num_pitches": -1}, "num_pitches must be at least 0, got -1"),
        (
            {"kind": "spectral_realnvp", "length": 64, "num_pitches": 2, "pitch_range": (900.0, 300.0)},
            r"pitch_range must ascend within 0..8000 Hz, got \(900.0, 300.0\)",
        ),
        (
            {"kind": "spectral_realnvp", "length": 64, "num_pitches": 2, "pitch_range": (27.5, 300.0)},
            "pitches of a periodic template must lie within 1..32 periods of its 64 samples, got 0.11 to 1.2",
        ),
        ({"kind": "template", "length": 32, "num_templates": 0}, "num_templates must be at least 1"),
        ({"kind": "template", "length": 32, "unexplained": 1.5}, "within 0..1, got 192 and 1.5"),
        ({"kind": "template", "domain": "log_stft", "length": 4096}, "a density over waves"),
        ({"kind": "wavetable", "domain": "log_stft", "length": 4096}, "a density over waves"),
        ({"kind": "wavetable", "length": 32, "pitches": "keys"}, "pitches must be one of grid, continuous, got 'keys'"),
        ({"kind": "wavetable", "length": 32, "pitch_range": (100.0, 9000.0)}, "must ascend within 0..8000 Hz"),
        ({"kind": "wavetable", "length": 32, "decay_range": (0.5, 0.05)}, "decay_range must be two positive numbers"),
        ({"kind": "wavetable", "length": 32, "num_phases": 4}, "num_phases at least 8"),
        ({"kind": "wavetable", "length": 32, "smallest_sigma": 0.0}, "smallest_sigma must be positive, got 0.0"),
        ({"kind": "score", "length": 32, "network": "unet"}, "network must be one of spectral_gain, .*, got 'unet'"),
        ({"kind": "score", "domain": "log_stft", "length": 4096}, "over spectrograms take 'convolutions'"),
        ({"kind": "score", "length": 32, "sigma_range": (1.0, 0.1)}, "sigma_range must be two positive numbers"),
        ({"kind": "ideal_toy", "length": 16, "source": "violin"}, "got \\['violin'\\]"),
        ({"kind": "ideal_toy", "length": 16, "sample_rate": 8000}, "sample_rate must be at least 8400"),
        ({"kind": "ideal_toy", "length": 1024, "domain": "log_stft"}, "a density over waves"),
        ({"kind": "ideal_toy", "length": 16, "num_phases": 0}, "num_phases must be at least 1, got 0"),
        ({"kind": "ideal_toy", "length": 16, "num_rounds": -1}, "num_rounds must be at least 0, got -1"),
        ({"kind": "ideal_toy", "length": 16, "smallest_sigma": 0.0}, "smallest_sigma must be positive, got 0.0"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, Any], complaint: str) -> None:
    settings = SETTINGS.get(arguments["kind"], {})
    with pytest.raises(InputError, match=complaint) as info:
        priors.build(**{**settings, **arguments})
    assert "\n" not in str(info.value)


COMMON = ["domain", "event_shape", "length", "front_end", "recompute", "recompute_kept"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_all_settings_of_a_kind_are_typed_and_explained(kind: str) -> None:
    known = priors.parameters(kind)
    assert list(known)[: len(COMMON)] == COMMON and len(known) > len(COMMON)
    for name, parameter in known.items():
        assert parameter.name == name and parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.annotation not in (inspect.Parameter.empty, "Any")
        assert parameter.default is not inspect.Parameter.empty
    explained = priors.describe_parameters(kind)
    assert list(explained) == list(known) and all(text and "\n" not in text for text in explained.values())


def test_a_kind_has_its_own_defaults_and_explanations() -> None:
    defaults = {kind: priors.parameters(kind)["num_steps"].default for kind in ("glow", "lifting", "waveglow")}
    assert defaults == {"glow": 4, "lifting": 8, "waveglow": 12}
    assert priors.describe_parameters("glow")["num_steps"] == "steps per level, at least 1."
    assert priors.describe_parameters("waveglow")["num_steps"] == "steps in all, at least 1."


def test_an_unknown_kind_has_no_settings() -> None:
    for ask in (priors.parameters, priors.describe_parameters):
        with pytest.raises(InputError, match="the prior must be one of .*, got 'wavegloww'; did you mean 'waveglow'"):
            ask("wavegloww")


def test_every_default_can_be_given() -> None:
    """A listing of the settings is a gin file: building from all of them is building from none."""
    for kind, needed in (("glow", {"length": 32}), ("template", {"length": 32}), ("score", {"length": 32})):
        given = {name: each.default for name, each in priors.parameters(kind).items()}
        assert priors.build(kind, **{**given, **needed}).event_shape == (32, 1)
