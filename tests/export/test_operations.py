"""What a served graph may have: every kind of posterior and of prior has it, and nothing else gets in."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from tests.contract.conftest import CASES, Case
from tests.posteriors.test_any_sources import SAMPLERS, SHORT, gaussians
from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.export.allowed import ALLOWED
from tfsep.export.operations import operations_of, refuse_unservable
from tfsep.posteriors.kinds import SPECTRAL

#: One case of each kind; the others of the contract are for the slow suite.
FAST = {settings["kind"]: name for name, settings in reversed(sorted(CASES.items()))}
FLOW = {"family": "flow", "family_settings": {"block": 4, "num_couplings": 2, "width": 4, "num_layers": 1}}
REFINE = {"refine": {"block": 4, "width": 4, "num_layers": 1}}


def traced(call: Any, *specs: tf.TensorSpec) -> tf.types.experimental.ConcreteFunction:
    return tf.function(call, input_signature=specs, autograph=False).get_concrete_function()


def drawing(posterior: Any) -> tf.types.experimental.ConcreteFunction:
    """Return the graph of two draws, as it is served: by the seed of each row."""
    specs = tf.TensorSpec([None, posterior.segment]), tf.TensorSpec([None, 2], tf.int32)
    return traced(lambda wave, seed: posterior.sample(wave, 2, seed), *specs)


def graph_of(*names: str) -> tf.types.experimental.ConcreteFunction:
    """Return a graph of operations with these names, which need not be able to run."""
    found = traced(tf.identity, tf.TensorSpec([None]))
    definition = found.graph.as_graph_def()
    for name in names:
        definition.node.add(op=name, name=name)
    found.graph.as_graph_def = lambda: definition
    return found


def test_all_allowed_operations_are_known_to_tensorflow() -> None:
    assert not [name for name in sorted(ALLOWED) if op_def_registry.get(name) is None]
    refuse_unservable(graph_of(*sorted(ALLOWED)))


@pytest.mark.parametrize(
    "name",
    [
        *("DecodeProtoV2", "GenerateVocabRemapping", "InitializeTableFromTextFile", "DebugIdentity", "XlaLaunchV2"),
        *("ReadFile", "MatchingFiles", "ImmutableConst", "PrintV2", "RandomUniform", "AssignVariableOp", "NoSuchOp"),
    ],
)
def test_other_operations_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"must only compute, this posterior's has the operations {name}"):
        refuse_unservable(graph_of("Add", name))


@pytest.mark.parametrize("name", ["EagerPyFunc", "PyFunc", "PyFuncStateless"])
def test_python_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="must not call Python"):
        refuse_unservable(graph_of(name))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_sampler_can_be_served(kind: str) -> None:
    refuse_unservable(drawing(posteriors.build(kind, gaussians(2), **SHORT.get(kind, {"num_levels": 3}))))


@pytest.mark.parametrize("kind", SPECTRAL)
def test_every_sampler_of_spectra_can_be_served(kind: str) -> None:
    case = {**CASES["glow_log_stft" if kind == "spectral_latent" else "score_log_stft"]}
    each = [priors.build(**case) for _ in range(2)]
    refuse_unservable(drawing(posteriors.build(kind, each, num_steps=2)))


@pytest.mark.parametrize("settings", [{}, FLOW, REFINE])
def test_every_family_of_learned_posteriors_can_be_served(settings: dict[str, Any]) -> None:
    shape = {"num_sources": 2, "segment": 8, "network_settings": {"width": 4, "num_blocks": 1}}
    learned = posteriors.build("amortised", gains=(1.0, -0.5), **shape, **settings)
    refuse_unservable(drawing(learned))


@pytest.mark.parametrize(
    "name", [name if name in FAST.values() else pytest.param(name, marks=pytest.mark.slow) for name in sorted(CASES)]
)
def test_every_prior_can_be_served(name: str) -> None:
    prior = Case(name).build()
    events = tf.TensorSpec([None, *prior.event_shape])
    if prior.has_score:
        refuse_unservable(traced(lambda x: prior.score(x, 0.1), events))
        refuse_unservable(traced(lambda x: prior.denoise(x, 0.1), events))
    if prior.has_log_prob:
        refuse_unservable(traced(prior.log_prob, events))
    if prior.has_posterior_sample:
        refuse_unservable(
            traced(lambda x, seed: prior.posterior_sample(x, 0.1, seed), events, tf.TensorSpec([2], tf.int32))
        )


def test_names_of_functions_are_no_operations() -> None:
    inner = tf.function(lambda x: x + 1.0, autograph=False)
    graph = traced(lambda x: inner(x), tf.TensorSpec([None])).graph.as_graph_def()
    assert operations_of(graph) <= {"AddV2", "Const", "Identity", "NoOp", "PartitionedCall", "Placeholder"}
