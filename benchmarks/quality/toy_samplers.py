"""Every sampler with any set of toy priors: the rows of benchmarks/quality/__main__.py that no model folder offers.

Settings are the same for all priors, but for the noise levels, which are fitted to what a prior
knows: a sampler that begins above a prior's largest level begins there instead. A composition
starts from a toy model's amortised posterior.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.records import Record, Setting

if TYPE_CHECKING:
    from tfsep.priors.base import Prior
    from tfsep.separation.separator import Separator

IDEAL = "ideal"
#: The toy generator's own density, on a grid of phases coarse enough for a thousand steps.
_GRID = {"num_phases": 16, "num_refined": 1, "num_subcells": 16, "num_rounds": 2}
_JACOBI = {"kind": "gibbs", "update": "jacobi", "largest_sigma": 12.0, "num_levels": 40, "num_restarts": 4}
_WARM = {"kind": "gibbs", "largest_sigma": 0.5, "start_sigma": 0.5, "smallest_sigma": 0.03, "num_levels": 12}
SAMPLERS: dict[str, Record] = {
    "gibbs": {"kind": "gibbs"},
    "jacobi": _JACOBI,
    "langevin": {"kind": "langevin"},
    "langevin_soft": {
        **{"kind": "langevin", "largest_sigma": 4.0, "smallest_sigma": 0.05, "num_levels": 10, "num_steps": 25},
        **{"delta": 1e-3, "exact": False, "consistent": False, "num_restarts": 1},
    },
    "langevin_from_masks": {"kind": "composition", "stages": ["amortised", {"kind": "langevin"}]},
    "diffusion": {"kind": "diffusion", "num_levels": 30},
    "stochastic_gibbs": {"kind": "stochastic_gibbs"},
    "latent": {"kind": "latent", "num_steps": 20},
    "particles": {"kind": "particles"},
    "composition": {"kind": "composition", "stages": ["amortised", {**_WARM, "num_restarts": 2}]},
}
_LOUDEST = 1.0


def loaded(name: str, toy_model: str) -> list[Prior]:
    """Load priors of a toy model's sources, in its order: those of another folder, or the generator's own.

    Args:
        name: :data:`IDEAL`, or a model folder.
        toy_model: whose sources, rate and segment are meant.
    """
    from tfsep import priors
    from tfsep.models import store

    about = store.describe(toy_model)
    if name == IDEAL:
        fixed: Record = {"length": about["segment"], "sample_rate": about["sample_rate"], **_GRID}
        return [priors.build("ideal_toy", source=source, **fixed) for source in about["sources"]]
    return [store.load_prior(name, source) for source in about["sources"]]


def suits(sampler: str, priors: Sequence[Prior]) -> bool:
    """Return whether a sampler can run on priors: latents need flows, Gibbs sampling draws, particles densities."""
    if any(prior.domain != "wave" for prior in priors):
        return False
    rules = {"latent": "has_latents", "stochastic_gibbs": "has_posterior_sample", "particles": "has_log_prob"}
    return sampler not in rules or all(getattr(prior, rules[sampler], False) for prior in priors)


def fitted(entry: Setting, priors: Sequence[Prior]) -> Record:
    """Fit the arguments of a posterior: noise levels that the priors know, and sources within full scale."""
    from tfsep.posteriors.registry import parameters

    low = max(prior.smallest_sigma for prior in priors)
    high = min(prior.largest_sigma for prior in priors)
    found = dict(entry)
    if found["kind"] in ("gibbs", "langevin", "diffusion", "particles"):
        found["largest_amplitude"] = _LOUDEST
    if found["kind"] == "particles":
        levels = {"largest_sigma": 4.0, "smallest_sigma": 0.05, "test_sigma": 0.2}
        levels |= {"polish_from": 0.2, "polish_sigma": 0.02}
        found |= {name: min(max(found.get(name, level), low), high) for name, level in levels.items()}
    if found["kind"] == "gibbs":
        found.setdefault("largest_sigma", 8.0)
    if found["kind"] == "langevin":
        defaults = parameters("langevin")
        found = {name: defaults[name].default for name in ("largest_sigma", "smallest_sigma")} | found
    if found["kind"] in ("diffusion", "stochastic_gibbs"):
        found.setdefault("largest_sigma", 8.0)
    if "largest_sigma" in found:
        found["largest_sigma"] = min(found["largest_sigma"], high)
        found["smallest_sigma"] = max(found.get("smallest_sigma", 0.1), low)
    if "start_sigma" in found:
        found["start_sigma"] = min(found["start_sigma"], high)
    if "stages" in found:
        found["stages"] = [each if isinstance(each, str) else fitted(each, priors) for each in found["stages"]]
    return found


def separator(entry: Setting, priors: Sequence[Prior], toy_model: str) -> Separator:
    """Build a separator of a posterior with the given priors; stages that are names are posteriors of a toy model."""
    from tfsep import posteriors
    from tfsep.models import store
    from tfsep.separation.separator import Separator

    about = store.describe(toy_model)
    arguments = fitted(entry, priors)
    if "stages" in arguments:
        arguments["stages"] = [
            store.load_model(toy_model, stage).posterior if isinstance(stage, str) else stage
            for stage in arguments["stages"]
        ]
    built = posteriors.build(priors=priors, gains=about["gains"], **arguments)
    names, rate = tuple(about["sources"]), about["sample_rate"]
    return Separator(store.Model(str(entry["kind"]), names, rate, about["segment"], built.gains, built))
