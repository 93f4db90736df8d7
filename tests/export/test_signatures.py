"""Every signature, asked without Python and XLA, answers what Python answers; bad requests are told why."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests.export.served_by_c import Answer, ask, signatures_of
from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.export import operations, saved_model
from tfsep.export.signatures import NAMES, ServedModel
from tfsep.separation.separator import Separator

SEGMENT, RATE = 512, 8000
INVALID = 3
MOST = "waveform must be at most 1 s in all, which is 8000 samples, a row counted as at least one segment of 512"


def decibels(found: Any, expected: Any) -> float:
    expected = np.asarray(expected, np.float64)
    error = np.sum((np.asarray(found, np.float64) - expected) ** 2)
    return float(10 * np.log10(np.sum(expected**2) / max(error, 1e-300)))


def separator_of(posterior: Any, **settings: Any) -> Separator:
    facts = {"sample_rate": RATE, "segment": posterior.segment, "gains": posterior.gains, "posterior": posterior}
    return Separator(SimpleNamespace(name="tiny", sources=("low", "high"), settings=settings, **facts))


def masks() -> Any:
    settings: dict[str, Any] = {"plane": "short_time", "plane_settings": {"frame_length": 128, "frame_step": 32}}
    network = {"network_settings": {"width": 4, "num_blocks": 1}}
    posterior: Any = posteriors.build(
        "amortised", num_sources=2, segment=SEGMENT, gains=(1.0, 1.0), **settings, **network
    )
    for number, weight in enumerate(posterior.trainable_variables):
        weight.assign_add(0.3 * tf.random.stateless_normal(weight.shape, (number, 0)))
    return posterior


def sampler() -> Any:
    each = [priors.build("gaussian", length=SEGMENT, variances=1.0 / (1 + k)) for k in range(2)]
    return posteriors.build("langevin", each, num_levels=4)


class Served(NamedTuple):
    """A separator, its folder, and what Python answers."""

    separator: Separator
    folder: Path
    loaded: Any


@pytest.fixture(scope="module", params=["masks", "sampler"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Served:
    separator = separator_of(masks(), stereo="wiener") if request.param == "masks" else separator_of(sampler())
    folder = saved_model.export(separator, tmp_path_factory.mktemp("served"), max_seconds=1.0, num_samples=3)
    return Served(separator, folder, tf.saved_model.load(str(folder)))


def requests(name: str, rows: int, time: int) -> dict[str, np.ndarray]:
    """Return inputs of a signature: waveforms of noise, seeds that differ."""
    generator = np.random.default_rng(time)
    shape = {"separate_stereo": (3, time, 2), "segments": (3, SEGMENT)}.get(name, (3, time))
    inputs = {"waveform": generator.uniform(-0.5, 0.5, shape).astype(np.float32)[:rows]}
    if name in ("samples", "uncertainty"):
        inputs["seed"] = np.arange(5, 8, dtype=np.int32)[:rows]
    if name == "segments":
        inputs["seed"] = np.arange(6, dtype=np.int32).reshape(3, 2)[:rows]
    return {"request": np.zeros(rows, np.int32)} if name == "info" else inputs


def test_c_answers_as_python_does_and_rows_as_they_do_alone(served: Served, tmp_path: Path) -> None:
    names = sorted(signatures_of(served.folder))
    assert set(names) == set(NAMES) - ({"log_prob"} if served.separator.stereo == "wiener" else set())
    asked = [(name, requests(name, rows, time)) for name in names for rows, time in ((3, 1500), (1, 1500), (1, 200))]
    answers = iter(ask(served.folder, asked, tmp_path))
    for name in names:
        several, one, short = next(answers), next(answers), next(answers)
        for answer, (rows, time) in ((several, (3, 1500)), (one, (1, 1500)), (short, (1, 200))):
            assert answer.code == 0, answer.message
            given = {key: tf.constant(value) for key, value in requests(name, rows, time).items()}
            expected = served.loaded.signatures[name](**given)
            for output, value in answer.outputs.items():
                if value.dtype == object:
                    np.testing.assert_array_equal(value, expected[output].numpy())
                    continue
                assert value.shape == expected[output].shape and value.dtype == expected[output].dtype.as_numpy_dtype
                if value.dtype == np.float32:
                    assert decibels(value, expected[output]) >= 100.0, (name, output)
            if name in ("serving_default", "separate_stereo"):
                total = sum(answer.outputs.values())
                np.testing.assert_allclose(total, requests(name, rows, time)["waveform"], atol=1e-6)
        for output, value in one.outputs.items():
            if value.dtype == np.float32 and name != "info":
                assert decibels(several.outputs[output][:1], value) >= 100.0, (name, output)


def test_answers_are_those_of_the_separator(served: Served) -> None:
    wave = requests("serving_default", 3, 1500)["waveform"]
    expected = served.separator.separate_batch(wave)[0]
    found = served.loaded.signatures["serving_default"](waveform=tf.constant(wave))
    song = requests("separate_stereo", 1, 1500)["waveform"]
    whole = served.separator(song[0].T)
    stereo = served.loaded.signatures["separate_stereo"](waveform=tf.constant(song))
    for k, source in enumerate(served.separator.sources):
        assert decibels(found[source], expected[:, k]) >= 100.0
        assert decibels(stereo[source][0], whole[source].T) >= 100.0


def test_draws_are_those_of_the_separator(served: Served) -> None:
    inputs = requests("samples", 3, 1500)
    expected = served.separator.separate_batch(inputs["waveform"], 3, inputs["seed"].tolist())
    given = {name: tf.constant(value) for name, value in inputs.items()}
    drawn = served.loaded.signatures["samples"](**given)
    spread = served.loaded.signatures["uncertainty"](**given)
    for k, source in enumerate(served.separator.sources):
        assert decibels(drawn[source], np.moveaxis(expected[:, :, k], 0, 1)) >= 100.0
        assert decibels(spread[source], expected[:, :, k].std(axis=0, ddof=1)) >= 80.0
        assert spread[source].numpy().min() > 0.0


def test_log_densities_are_those_of_the_priors(tmp_path: Path) -> None:
    posterior = sampler()
    served = ServedModel(separator_of(posterior), 1.0, 2)
    wave = requests("log_prob", 2, 1100)["waveform"]
    found = served.graphs["log_prob"](waveform=tf.constant(wave))
    starts = (0, 512, 1100 - 512)
    for k, source in enumerate(("low", "high")):
        pieces = np.stack([wave[:, start : start + 512] for start in starts], axis=1).reshape(6, 512, 1)
        np.testing.assert_allclose(found[source], posterior.priors[k].log_prob(pieces).numpy().reshape(2, 3), rtol=1e-5)


def bad(shape: tuple[int, ...], value: float = 0.1, at: int = 0) -> np.ndarray:
    wave = np.full(shape, 0.1, np.float32)
    wave.reshape(-1)[at : at + 1] = value
    return wave


def test_bad_requests_are_told_the_rule_and_the_next_one_is_answered(served: Served, tmp_path: Path) -> None:
    default, stereo, samples = "serving_default", "separate_stereo", "samples"
    two = np.zeros(2, np.int32)
    cases: list[tuple[str, dict[str, np.ndarray], str]] = [
        (default, {"waveform": bad((2, 900), np.nan, 950)}, "waveform must be finite, got NaN or infinity in row 1"),
        (default, {"waveform": bad((1, 900), -np.inf)}, "waveform must be finite, got NaN or infinity in row 0"),
        (
            default,
            {"waveform": bad((1, 900), 1e11)},
            "waveform must be at most 1e+10 times full scale, got more in row 0",
        ),
        (default, {"waveform": bad((900,))}, "waveform must be [batch, time], got rank 1"),
        (default, {"waveform": bad((1, 900, 2))}, "waveform must be [batch, time], got rank 3"),
        (default, {"waveform": bad((1, 0))}, "waveform must have at least one sample, got shape [1 0]"),
        (default, {"waveform": bad((0, 5))}, "waveform must have at least one sample, got shape [0 5]"),
        (default, {"waveform": bad((1, 8001))}, f"{MOST}; got 8001"),
        (default, {"waveform": bad((16, 1))}, f"{MOST}; got 8192"),
        (default, {"waveform": bad((2, 4001))}, f"{MOST}; got 8002"),
        (stereo, {"waveform": bad((2, 4001, 2))}, f"{MOST}; got 8002"),
        (samples, {"waveform": bad((16, 1)), "seed": np.zeros(16, np.int32)}, f"{MOST}; got 8192"),
        ("segments", {"waveform": bad((16, 512)), "seed": np.zeros((16, 2), np.int32)}, f"{MOST}; got 8192"),
        (stereo, {"waveform": bad((1, 900))}, "waveform must be [batch, time, 2], got rank 2"),
        (stereo, {"waveform": bad((1, 900, 3))}, "waveform must be [batch, time, 2], got shape [1 900 3]"),
        (stereo, {"waveform": bad((1, 900, 2), np.nan)}, "waveform must be finite, got NaN or infinity in row 0"),
        (
            samples,
            {"waveform": bad((1, 900)), "seed": two},
            "seed must be [batch], one for each waveform, got shape [2]",
        ),
        (samples, {"waveform": bad((2, 900)), "seed": two - 1}, "seed must be at least 0, got -1"),
        ("segments", {"waveform": bad((1, 900)), "seed": two[None]}, "must be [batch, 512], got shape [1 900]"),
        ("segments", {"waveform": bad((1, 512)), "seed": two}, "seed must be [batch, 2], one pair for each segment"),
    ]
    good = (default, {"waveform": bad((1, 900))})
    asked: list[Any] = [each for name, inputs, _ in cases for each in ((name, inputs), good)]
    answers: list[Answer] = ask(served.folder, asked, tmp_path)
    for (_, _, rule), answer, after in zip(cases, answers[::2], answers[1::2], strict=True):
        assert answer.code == INVALID and rule in answer.message.splitlines()[0], answer.message
        assert after.code == 0, after.message
        np.testing.assert_array_equal(after.outputs["low"], answers[1].outputs["low"])


@pytest.mark.parametrize("shape", [(15, 1), (1, 8000), (2, 4000), (4, 2000)])
def test_requests_of_just_as_much_as_is_allowed_are_answered(served: Served, shape: tuple[int, int]) -> None:
    found = served.loaded.signatures["serving_default"](waveform=tf.constant(bad(shape)))
    assert found["low"].shape == shape
    facts = served.loaded.signatures["info"](request=tf.zeros([2], tf.int32))
    assert facts["most_samples"].dtype == tf.int32 and facts["most_samples"].numpy().tolist() == [8000, 8000]


def test_log_prob_has_the_sources_whose_priors_have_a_density() -> None:
    posterior = sampler()
    posterior.priors[0].has_log_prob = False
    served = ServedModel(separator_of(posterior), 1.0, 2)
    wave = requests("log_prob", 2, 512)["waveform"]
    found = served.graphs["log_prob"](waveform=tf.constant(wave))
    assert sorted(found) == ["high"]
    expected = posterior.priors[1].log_prob(wave[..., np.newaxis]).numpy()
    np.testing.assert_allclose(found["high"], expected[:, np.newaxis], rtol=1e-5)
    posterior.priors[1].has_log_prob = False
    assert "log_prob" not in ServedModel(separator_of(posterior), 1.0, 2).graphs


def test_signatures_show_what_they_take_and_give(served: Served) -> None:
    """As saved_model_cli shows them."""
    shapes = {"serving_default": [-1, -1], "separate_stereo": [-1, -1, 2], "segments": [-1, SEGMENT]}
    for name, definition in signatures_of(served.folder).items():
        inputs = {key: [dim.size for dim in value.tensor_shape.dim] for key, value in definition.inputs.items()}
        assert inputs.get("waveform", [-1, -1]) == shapes.get(name, [-1, -1])
        assert inputs.get("seed", [-1]) == ([-1, 2] if name == "segments" else [-1])
        if name != "info":
            assert sorted(definition.outputs) == ["high", "low"]


def test_graphs_have_allowed_operations_only(served: Served) -> None:
    for signature in served.loaded.signatures.values():
        operations.refuse_unservable(signature)
    every = {
        name
        for each in served.loaded.signatures.values()
        for name in operations.operations_of(each.graph.as_graph_def())
    }
    assert {"Assert", "ReadVariableOp"} & every and not any("Py" in name or "File" in name for name in every)


def test_operations_on_files_are_refused() -> None:
    def reading(wave: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"size": tf.strings.length(tf.io.read_file("name")) + tf.size(wave)}

    def printing(wave: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.print(wave)
        return {"wave": wave}

    for call, name in ((reading, "ReadFile"), (printing, "PrintV2")):
        graph = tf.function(call, input_signature=[tf.TensorSpec([None])], autograph=False).get_concrete_function()
        with pytest.raises(InputError, match=f"must only compute, .*{name}"):
            operations.refuse_unservable(graph)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"max_seconds": 0.0}, "max_seconds must be above 0"),
        ({"max_seconds": float("nan")}, "max_seconds must be above 0"),
        (
            {"max_seconds": 0.05},
            "max_seconds must be at least one segment, 512 samples = 0.064 s, got 0.05",
        ),
        ({"num_samples": 1}, "number of samples must be at least 2, got 1"),
        ({"version": 0}, "version must be at least 1 and below 2\\^63, got 0"),
    ],
)
def test_arguments_out_of_range_are_refused(settings: dict[str, Any], rule: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rule):
        saved_model.export(separator_of(sampler()), tmp_path / "base", **settings)
    assert not (tmp_path / "base").exists()


def test_samples_that_do_not_fit_the_memory_budget_are_refused(tmp_path: Path) -> None:
    separator = separator_of(sampler())
    separator.memory = 1.25e-9 / 8.0 * separator.model.posterior.memory(2)
    with pytest.raises(InputError, match="num_samples must be at most 2 for .*, as the draws of one segment must fit"):
        saved_model.export(separator, tmp_path / "base", num_samples=10**6)
    assert not (tmp_path / "base").exists()
