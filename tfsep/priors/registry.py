"""Every kind of prior by name: its settings, what they mean, and how it is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from tfsep.audio import front_end as front_ends
from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Settings
from tfsep.errors import InputError
from tfsep.priors.base import Prior
from tfsep.priors.closed_form import ClosedForm
from tfsep.priors.denoiser import DenoiserSettings
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flowavenet import FloWaveNetSettings
from tfsep.priors.flows.glow import GlowSettings
from tfsep.priors.flows.lifting import LiftingSettings
from tfsep.priors.flows.nice import NiceSettings
from tfsep.priors.flows.realnvp import RealNVPSettings
from tfsep.priors.flows.settings import FlowSettings
from tfsep.priors.flows.spectral_realnvp import SpectralRealNVPSettings
from tfsep.priors.flows.waveglow import WaveGlowSettings
from tfsep.priors.gaussian import GaussianPrior
from tfsep.priors.ideal_toy import IdealToyPrior
from tfsep.priors.template import TemplatePrior
from tfsep.priors.template import learn as learn_templates
from tfsep.priors.wavetable.learning import learn as learn_wavetable
from tfsep.priors.wavetable.prior import WavetablePrior
from tfsep.signatures import described_parameters, did_you_mean, keyword_parameters, refuse_unknown

#: Kinds whose settings are a dataclass that builds the prior.
NETWORK_KINDS: dict[str, type[FlowSettings] | type[DenoiserSettings]] = {
    "flowavenet": FloWaveNetSettings,
    "glow": GlowSettings,
    "lifting": LiftingSettings,
    "nice": NiceSettings,
    "realnvp": RealNVPSettings,
    "score": DenoiserSettings,
    "spectral_realnvp": SpectralRealNVPSettings,
    "waveglow": WaveGlowSettings,
}
#: Kinds in closed form, whose settings are what their class takes behind the front end and the event shape.
CLOSED_FORM_KINDS: dict[str, type[ClosedForm]] = {
    "gaussian": GaussianPrior,
    "ideal_toy": IdealToyPrior,
    "template": TemplatePrior,
    "wavetable": WavetablePrior,
}
#: Every kind, with what explains its own settings.
KINDS: dict[str, type] = dict(sorted({**NETWORK_KINDS, **CLOSED_FORM_KINDS}.items()))

# Kinds whose weights follow from isolated sounds at once: what learns them, and the sounds' length in events.
LEARNERS: dict[str, tuple[Callable[..., dict[str, float]], int]] = {
    "template": (learn_templates, 2),
    "wavetable": (learn_wavetable, 1),
}


def parameters(kind: str) -> dict[str, inspect.Parameter]:
    """Return all settings of a kind as :func:`build` takes them.

    Args:
        kind: one of :data:`KINDS`.

    Returns:
        {name: keyword-only parameter}: ``domain``, ``event_shape``, ``length``, ``front_end``,
        ``recompute`` and ``recompute_kept``, then the kind's own, those of its networks included.
        Annotations are as in the source.

    Raises:
        InputError: for an unknown kind.
    """
    _check_kind(kind)
    return keyword_parameters(build, without=("kind",)) | _own_parameters(kind)


def describe_parameters(kind: str) -> dict[str, str]:
    """Return what each of :func:`parameters` means, {name: one line}, from the docstrings.

    Raises:
        InputError: for an unknown kind.
    """
    known, maker = parameters(kind), KINDS[kind]
    texts = described_parameters(build)
    for each in reversed(inspect.getmro(maker)):
        texts |= {name: text for name, text in described_parameters(each).items() if name in _own_parameters(kind)}
    return {name: texts[name] for name in known}


def _own_parameters(kind: str) -> dict[str, inspect.Parameter]:
    return keyword_parameters(KINDS[kind], without=("front_end", "event_shape"))


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"the prior must be one of {known}, got {kind!r}{did_you_mean(str(kind), KINDS)}")


def build(
    kind: str,
    domain: str = "wave",
    event_shape: Sequence[int] | None = None,
    length: int | None = None,
    front_end: Settings | None = None,
    recompute: str = "none",
    recompute_kept: int = 0,
    **settings: object,
) -> Prior:
    """Build an untrained prior.

    Args:
        kind: one of :data:`KINDS`.
        domain: the features over which it is a density, "wave", "log_stft" or "log_mel".
        event_shape: shape of one event, channels last; either this or ``length`` is needed.
        length: samples of the waveform that gives one event; either this or ``event_shape`` is
            needed.
        front_end: settings of the domain's front end, by name.
        recompute: of a flow, what gradients of its log-density recompute instead of keeping it:
            "none", "step", "inverse" or "scan"
            (:meth:`tfsep.priors.flows.flow.FlowPrior.set_recompute`).
        recompute_kept: of a flow, steps at the latents' end, at least 0, that keep what they need
            all the same.
        settings: the kind's own; see :func:`parameters` and :func:`describe_parameters`.

    Raises:
        InputError: for an unknown kind or domain, a setting the kind does not have, or a shape it
            cannot hold.
    """
    refuse_unknown(f"prior {kind!r}", settings, parameters(kind))
    if (event_shape is None) == (length is None):
        raise InputError("a prior needs either an event_shape or a length in samples, and not both")
    analysis = front_ends.build(domain, **dict(front_end or {}))
    shape = tuple(event_shape) if event_shape is not None else tuple(analysis.event_shape(length or 0))
    try:
        prior = _built(kind, analysis, shape, settings)
        if isinstance(prior, FlowPrior):
            prior.set_recompute(recompute, recompute_kept)
        elif (recompute, recompute_kept) != ("none", 0):
            given = f"{recompute!r} and {recompute_kept!r}"
            raise ValueError(
                f"only flows have steps to recompute: recompute must be 'none' and recompute_kept 0, got {given}"
            )
    except (TypeError, ValueError) as error:
        raise InputError(f"prior {kind!r} over {domain!r} events {shape}: {error}") from error
    prior.length = shape[0] if domain == "wave" else length
    where = {"kind": kind, "domain": domain, "event_shape": shape, "front_end": dict(front_end or {})}
    kept = {"recompute_kept": recompute_kept} if recompute_kept else {}
    prior.settings = {**where, "recompute": recompute, **kept, **settings}
    return prior


def _built(kind: str, front_end: FrontEnd, shape: tuple[int, ...], settings: Settings) -> Prior:
    """Build a kind from settings that it has; it checks their values."""
    if kind in NETWORK_KINDS:
        make_settings: Callable[..., FlowSettings | DenoiserSettings] = NETWORK_KINDS[kind]
        return make_settings(**settings).build(front_end, shape)
    make_prior: Callable[..., ClosedForm] = CLOSED_FORM_KINDS[kind]
    return make_prior(front_end, shape, **settings)
