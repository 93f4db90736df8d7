"""Every kind of prior by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfsep.audio import front_end as front_ends
from tfsep.errors import InputError
from tfsep.priors.base import Prior
from tfsep.priors.denoiser import score
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flowavenet import flowavenet
from tfsep.priors.flows.glow import glow
from tfsep.priors.flows.lifting import lifting
from tfsep.priors.flows.nice import nice
from tfsep.priors.flows.realnvp import realnvp
from tfsep.priors.flows.waveglow import waveglow
from tfsep.priors.gaussian import gaussian
from tfsep.priors.ideal_toy import ideal_toy
from tfsep.priors.template import learn as learn_templates
from tfsep.priors.template import template
from tfsep.priors.wavetable.learning import learn as learn_wavetable
from tfsep.priors.wavetable.prior import wavetable

KINDS: dict[str, Callable[..., Any]] = {
    "flowavenet": flowavenet,
    "gaussian": gaussian,
    "glow": glow,
    "ideal_toy": ideal_toy,
    "lifting": lifting,
    "nice": nice,
    "realnvp": realnvp,
    "score": score,
    "template": template,
    "waveglow": waveglow,
    "wavetable": wavetable,
}

# Kinds whose weights follow from isolated sounds at once: what learns them, and the sounds' length in events.
LEARNERS: dict[str, tuple[Callable[[Any, Any], dict[str, float]], int]] = {
    "template": (learn_templates, 2),
    "wavetable": (learn_wavetable, 1),
}


def build(
    kind: str,
    domain: str = "wave",
    event_shape: Sequence[int] | None = None,
    length: int | None = None,
    front_end: Mapping[str, Any] | None = None,
    recompute: str = "none",
    recompute_kept: int = 0,
    **settings: Any,
) -> Prior:
    """Build an untrained prior.

    Args:
        kind: one of :data:`KINDS`.
        domain: "wave", "log_stft" or "log_mel": the features over which it is a density.
        event_shape: shape of one event, channels last; or
        length: samples of the waveform that gives one event.
        front_end: settings of the domain's front end.
        recompute: of a flow, what gradients of its log-density compute anew instead of keeping it: "none", "step",
            "inverse" or "scan" (:meth:`tfsep.priors.flows.flow.FlowPrior.set_recompute`).
        recompute_kept: steps at the latents' end that this is not done for.
        settings: the kind's own.

    Raises:
        InputError: for an unknown kind or domain, a setting the kind does not have, or a shape it cannot hold.
    """
    if kind not in KINDS:
        raise InputError(f"the prior must be one of {', '.join(sorted(KINDS))}, got {kind!r}")
    if (event_shape is None) == (length is None):
        raise InputError("a prior needs either an event_shape or a length in samples, and not both")
    analysis = front_ends.build(domain, **dict(front_end or {}))
    shape = tuple(event_shape) if event_shape is not None else tuple(analysis.event_shape(length or 0))
    try:
        prior = KINDS[kind](front_end=analysis, event_shape=shape, **settings)
        if isinstance(prior, FlowPrior):
            prior.set_recompute(recompute, recompute_kept)
        elif (recompute, recompute_kept) != ("none", 0):
            given = f"{recompute!r} and {recompute_kept!r}"
            raise ValueError(
                f"only flows have steps to compute anew: recompute must be 'none' and recompute_kept 0, got {given}"
            )
    except (TypeError, ValueError) as error:
        raise InputError(f"prior {kind!r} over {domain!r} events {shape}: {error}") from error
    where = {"kind": kind, "domain": domain, "event_shape": shape, "front_end": dict(front_end or {})}
    kept = {"recompute_kept": recompute_kept} if recompute_kept else {}
    prior.settings = {**where, "recompute": recompute, **kept, **settings}
    return prior
