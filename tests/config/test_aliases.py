"""The older spelling of priors and posteriors means what it meant, alone and over files in the present one."""

from __future__ import annotations

import pytest

from tfsep.config import reader
from tfsep.config.aliases import resolve_alias
from tfsep.errors import InputError

KINDS = {"prior": ("glow", "realnvp"), "posterior": ("amortised", "gibbs", "langevin", "stochastic_gibbs")}


def resolved(text: str) -> dict[str, str]:
    """Return a configuration without aliases, as {key: value}."""
    settings = reader.read([], [text])
    for alias, kinds in KINDS.items():
        settings = resolve_alias(settings, alias, kinds)
    return {each.key: repr(each.value) for each in settings}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "train.prior = @prior()\nprior.kind = 'glow'\nprior.num_steps = 6",
            "train.prior = @glow()\nglow.num_steps = 6",
        ),
        ("prior.num_steps = 6\ntrain.prior = @glow()", "glow.num_steps = 6\ntrain.prior = @glow()"),
        ("prior.kind = 'glow'\nprior.num_steps = 6\nprior.kind = 'realnvp'", "realnvp.num_steps = 6"),
        (
            "train.prior = @glow()\nglow.width = 4\nprior.kind = 'realnvp'\nprior.width = 8",
            "train.prior = @realnvp()\nrealnvp.width = 8",
        ),
        (
            "prior.kind = 'realnvp'\nprior.width = 8\ntrain.prior = @glow()\nglow.width = 4",
            "glow.width = 4\ntrain.prior = @glow()",
        ),
        ("train.prior = @prior()\ntrain.prior = @glow()", "train.prior = @glow()"),
        ("KIND = 'glow'\nprior.kind = %KIND\nprior.width = 8", "KIND = 'glow'\nglow.width = 8"),
        (
            "train.prior = @big/prior()\nbig/prior.kind = 'glow'\nbig/prior.width = 8\nprior.bound = 2.0",
            "big/glow.bound = 2.0\ntrain.prior = @big/glow()\nbig/glow.width = 8",
        ),
        (
            "train.posteriors = [@gibbs/posterior()]\ngibbs/posterior.kind = 'gibbs'\ngibbs/posterior.num_levels = 8",
            "train.posteriors = [@gibbs()]\ngibbs.num_levels = 8",
        ),
        (
            "train.posteriors = [@warm_gibbs/posterior()]\nwarm_gibbs/posterior.num_levels = 8",
            "train.posteriors = [@warm/gibbs()]\nwarm/gibbs.num_levels = 8",
        ),
        ("stochastic_gibbs/posterior.num_levels = 8", "stochastic_gibbs.num_levels = 8"),
        ("mine/posterior.kind = 'langevin'\nmine/posterior.num_steps = 8", "mine/langevin.num_steps = 8"),
        (
            "train.posteriors = [@gibbs()]\ngibbs.num_levels = 9\ngibbs/posterior.kind = 'langevin'",
            "train.posteriors = [@gibbs/langevin()]\ngibbs/langevin.num_levels = 9",
        ),
        (
            "posterior.num_levels = 4\ngibbs/posterior.num_levels = 8\nlangevin/posterior.num_steps = 3",
            "gibbs.num_levels = 8\nlangevin.num_levels = 4\nlangevin.num_steps = 3",
        ),
        (
            "train.posteriors = [@gibbs()]\nposterior.num_levels = 4",
            "train.posteriors = [@gibbs()]\ngibbs.num_levels = 4",
        ),
        (
            "gibbs/gibbs.num_levels = 4\ntrain.posteriors = [@gibbs/gibbs()]",
            "gibbs.num_levels = 4\ntrain.posteriors = [@gibbs()]",
        ),
        (
            "prior/fit.num_steps = 3\nposterior/objective.kind = 'elbo'",
            "prior/fit.num_steps = 3\nposterior/objective.kind = 'elbo'",
        ),
    ],
)
def test_the_older_spelling_is_an_alias_of_the_present_one(old: str, new: str) -> None:
    assert resolved(old) == {key: value for key, _, value in (line.partition(" = ") for line in new.splitlines())}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prior.num_steps = 3", "line 1: prior.num_steps: no kind of prior is in use"),
        ("train.prior = @prior()", r"@prior\(\): no kind of prior is in use"),
        ("mine/posterior.num_steps = 3", "mine/posterior.num_steps: no kind of posterior is in use under 'mine'"),
        ("prior.kind = 'glwo'", "prior.kind must be one of glow, realnvp, got 'glwo'; did you mean 'glow'?"),
        ("prior.kind = 3", "prior.kind must be one of glow, realnvp, got 3"),
    ],
)
def test_an_alias_that_stands_for_nothing_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        resolved(text)
