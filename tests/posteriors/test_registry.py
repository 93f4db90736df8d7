"""Kinds of posteriors by name, and the parameters that each of them takes."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from tfsep import posteriors
from tfsep.errors import InputError
from tfsep.posteriors.annealed import AnnealingSettings
from tfsep.posteriors.composition import Composition
from tfsep.posteriors.diffusion import Diffusion
from tfsep.posteriors.gibbs import Gibbs
from tfsep.posteriors.kinds import LEARNED
from tfsep.posteriors.langevin import Langevin
from tfsep.posteriors.registry import KINDS, describe_parameters, parameters
from tfsep.posteriors.stochastic_gibbs import StochasticGibbs

SCHEDULES = {
    "diffusion": (8.0, 0.02, 50, None),
    "gibbs": (8.0, 0.1, 20, None),
    "langevin": (2.0, 0.02, 24, None),
    "particles": (4.0, 0.05, 16, None),
    "stochastic_gibbs": (8.0, 0.1, 20, None),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_parameters_are_keywords_without_what_the_model_gives(kind: str) -> None:
    found = parameters(kind)
    assert {parameter.kind for parameter in found.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert not {"self", "priors", "gains", "num_sources", "segment", "annealing"} & set(found)
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in found.values())
    assert ("silence_probability" in found) == (kind not in LEARNED)
    assert ("start" in found) == (kind not in (*LEARNED, "composition"))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_parameter_is_described_on_one_line(kind: str) -> None:
    texts = describe_parameters(kind)
    assert list(texts) == list(parameters(kind))
    assert all(text and "\n" not in text for text in texts.values())


@pytest.mark.parametrize("kind", sorted(SCHEDULES))
def test_annealing_settings_stand_one_by_one_with_the_defaults_of_the_kind(kind: str) -> None:
    found = parameters(kind)
    names = ("largest_sigma", "smallest_sigma", "num_levels", "start_sigma")
    assert tuple(found[name].default for name in names) == SCHEDULES[kind]
    assert found["num_levels"].annotation == "int"


def test_parameters_of_a_kind_are_all_that_it_uses() -> None:
    assert list(parameters("stochastic_gibbs")) == [
        "largest_sigma",
        "smallest_sigma",
        "num_levels",
        "start_sigma",
        "num_chains",
        "num_sweeps",
        "silence_probability",
        "start",
    ]
    assert parameters("composition")["stages"].default is inspect.Parameter.empty
    assert parameters("langevin")["num_steps"].default == 2


def test_a_start_and_a_sampler_are_posteriors_in_sequence(gaussian_priors: type) -> None:
    pair = gaussian_priors(2, 5)
    first = posteriors.build("gibbs", pair, num_levels=2)
    built = posteriors.build("langevin", pair, start=first, num_levels=3)
    assert isinstance(built, Composition) and built.describe() == "gibbs > langevin"
    assert built.stages[0] is first and isinstance(built.stages[1], Langevin)
    with pytest.raises(InputError, match="start 'gibbs' is a name in a model folder; give the posterior itself"):
        posteriors.build("langevin", pair, start="gibbs")
    for kind, settings in (("composition", {"stages": [first]}), ("amortised", {"num_sources": 2, "segment": 8})):
        with pytest.raises(InputError, match=f"posterior '{kind}' has no start; a sampler has"):
            posteriors.build(kind, pair, start=first, **settings)


def test_a_misspelt_parameter_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="posterior 'langevin' has no parameter 'num_stepz'; did you mean 'num_steps'"):
        posteriors.build("langevin", num_stepz=3)


@pytest.mark.parametrize("asked", [parameters, describe_parameters, posteriors.build])
def test_a_misspelt_kind_is_refused_with_the_nearest_one(asked: type) -> None:
    with pytest.raises(InputError, match="the posterior must be one of amortised, .*, got 'langevn'; did you mean"):
        asked("langevn")


def test_flat_settings_change_only_what_they_name(gaussian_priors: type) -> None:
    built = posteriors.build("diffusion", gaussian_priors(2, 5), num_levels=3, num_chains=2)
    assert isinstance(built, Diffusion)
    assert built.annealing == replace(Diffusion.annealing_defaults, num_levels=3, num_chains=2)


def test_settings_in_one_piece_are_the_same_as_flat_ones(gaussian_priors: type) -> None:
    priors, settings = gaussian_priors(2, 5), AnnealingSettings(1.0, 0.1, 4, num_chains=3, stacked=True)
    flat = {"largest_sigma": 1.0, "smallest_sigma": 0.1, "num_levels": 4, "num_chains": 3, "stacked": True}
    built = posteriors.build("langevin", priors, delta=1e-3, **flat)
    assert isinstance(built, Langevin)
    assert built.annealing == Langevin(priors, annealing=settings, delta=1e-3).annealing == settings


def test_a_setting_that_a_kind_does_not_use_is_refused_in_one_piece_too(gaussian_priors: type) -> None:
    priors = gaussian_priors(2, 5)
    with pytest.raises(InputError, match="posterior 'gibbs' does not use num_chains, got 2"):
        Gibbs(priors, annealing=replace(Gibbs.annealing_defaults, num_chains=2))
    with pytest.raises(InputError, match="posterior 'stochastic_gibbs' does not use stacked, got True"):
        StochasticGibbs(priors, annealing=replace(StochasticGibbs.annealing_defaults, stacked=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_chains": 0}, "num_chains must be at least 1, got 0"),
        ({"largest_amplitude": 0.0}, "largest_amplitude must be above 0, got 0"),
    ],
)
def test_settings_check_what_does_not_depend_on_the_kind(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(Langevin.annealing_defaults, **settings)
