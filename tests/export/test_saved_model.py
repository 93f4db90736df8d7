"""The SavedModel returns what the separator returns, where tfsep cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.client.serving import grpc_server, of_saved_model, rest_server
from tfsep import posteriors
from tfsep.client import Client
from tfsep.errors import InputError, JobError
from tfsep.export import saved_model, warmup
from tfsep.export.signatures import ServedModel
from tfsep.runtime.stateless_random import normal
from tfsep.separation.separator import Separator

LOADER = """
import json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tfsep":
            raise ImportError("tfsep is out of reach here")

sys.meta_path.insert(0, Blocker())
try:
    import tfsep
except ImportError:
    pass
else:
    sys.exit("tfsep can be imported")
import numpy as np
import tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
serve = loaded.signatures["serving_default"]
results = {}
with np.load(sys.argv[2]) as waveforms:
    for name, waveform in waveforms.items():
        for source, stem in serve(waveform=tf.constant(waveform)).items():
            results[f"{name}/{source}"] = stem.numpy()
np.savez(sys.argv[3], **results)
print(json.dumps([list(serve.structured_input_signature[1]), sorted(serve.structured_outputs)]))
"""


def separator_around(posterior: Any, settings: dict[str, Any] | None = None) -> Separator:
    sources = ("low", "high", "rest")[: posterior.num_sources]
    model = SimpleNamespace(
        name="tiny",
        sources=sources,
        sample_rate=8000,
        segment=posterior.segment,
        gains=posterior.gains,
        posterior=posterior,
        settings=settings or {},
    )
    return Separator(model)


class NoisyHalves:
    """Gives each source half of the mixture and noise, passed through ``through``; owns a variable."""

    num_sources, segment, gains = 2, 64, (0.5, 0.5)

    def __init__(self, through: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> None:
        self.share = tf.Variable(1.0)
        self.through = through

    def sample(self, mixture: Any, num_samples: int, seed: Any) -> tf.Tensor:
        shape = tf.stack([tf.shape(mixture)[0], num_samples, 2, self.segment])
        halves = self.share * self.through(mixture)[tf.newaxis, :, tf.newaxis, :]
        return halves + 0.1 * tf.transpose(normal(shape, seed), [1, 0, 2, 3])


@pytest.fixture(scope="module")
def amortised() -> Separator:
    tf.random.set_seed(1)
    posterior = posteriors.build(
        "amortised",
        num_sources=3,
        segment=512,
        gains=(1.0, 1.0, 1.0),
        plane="short_time",
        plane_settings={"frame_length": 128, "frame_step": 32},
        network_settings={"width": 8, "num_blocks": 1},
    )
    for weight in posterior.trainable_variables:
        weight.assign_add(0.3 * tf.random.normal(weight.shape))
    return separator_around(posterior, {"normalise": True})


@pytest.fixture
def waveforms() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"one": (1, 1), "batch": (3, 1000), "long": (1, 9001)}
    waves = {name: generator.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    waves["batch"][1] *= 0.01
    waves["batch"][2] = 0.0
    return waves


def stems_of(separator: Separator, waveform: np.ndarray) -> dict[str, np.ndarray]:
    stems = separator.separate_batch(waveform)[0]
    return {name: stems[:, k] for k, name in enumerate(separator.sources)}


def listing(base: Path) -> Iterator[str]:
    return (path.name for path in sorted(base.iterdir()))


def test_same_answer_where_tfsep_cannot_be_imported(
    amortised: Separator, waveforms: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = saved_model.export(amortised, tmp_path / "base")
    assert folder == tmp_path / "base" / "1"
    np.savez(tmp_path / "waves.npz", **waveforms)
    (tmp_path / "elsewhere").mkdir()
    arguments = [str(folder), str(tmp_path / "waves.npz"), str(tmp_path / "stems.npz")]
    finished = subprocess.run(
        [sys.executable, "-I", "-c", LOADER, *arguments],
        cwd=tmp_path / "elsewhere",
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout.splitlines()[-1]) == [["waveform"], sorted(amortised.sources)]
    with np.load(tmp_path / "stems.npz") as results:
        for name, waveform in waveforms.items():
            for source, stem in stems_of(amortised, waveform).items():
                np.testing.assert_allclose(results[f"{name}/{source}"], stem, atol=1e-4)
            total = sum(results[f"{name}/{source}"] for source in amortised.sources)
            np.testing.assert_allclose(total, waveform, atol=1e-5)


def test_random_posterior_answers_as_seed_zero(waveforms: dict[str, np.ndarray], tmp_path: Path) -> None:
    separator = separator_around(NoisyHalves())
    loaded = tf.saved_model.load(str(saved_model.export(separator, tmp_path)))
    for waveform in waveforms.values():
        result = loaded.signatures["serving_default"](waveform=tf.constant(waveform))
        for source, stem in stems_of(separator, waveform).items():
            np.testing.assert_allclose(result[source], stem, atol=1e-4)


def test_versions_count_up_and_nothing_else_is_left(tmp_path: Path) -> None:
    separator = separator_around(NoisyHalves())
    (tmp_path / "7").mkdir()
    (tmp_path / "notes").mkdir()
    assert saved_model.export(separator, tmp_path).name == "8"
    assert saved_model.export(separator, tmp_path).name == "9"
    assert list(listing(tmp_path)) == ["7", "8", "9", "notes"]
    notes = json.loads((tmp_path / "9" / "assets.extra" / "tfsep.json").read_text())
    assert notes["sources"] == ["low", "high"] and notes["sample_rate"] == 8000
    assert notes["signatures"] == ["serving_default", "separate_stereo", "segments", "info"]
    assert json.loads((tmp_path / "9" / "assets" / "labels.json").read_text()) == ["low", "high"]


def test_a_given_version_is_never_written_over_another(tmp_path: Path) -> None:
    separator = separator_around(NoisyHalves())
    assert saved_model.export(separator, tmp_path, version=5).name == "5"
    before = (tmp_path / "5" / "saved_model.pb").stat()
    with pytest.raises(JobError, match="version 5 is in .* already and is never replaced"):
        saved_model.export(separator, tmp_path, version=5)
    assert (tmp_path / "5" / "saved_model.pb").stat().st_mtime_ns == before.st_mtime_ns
    assert list(listing(tmp_path)) == ["5"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_export_leaves_nothing(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted once the graphs are written, and what is beside them is not."""

    def interrupted(folder: Path, *rest: Any) -> None:
        assert (folder / "saved_model.pb").is_file()
        raise error

    monkeypatch.setattr(saved_model.warmup, "write", interrupted)
    with pytest.raises((KeyboardInterrupt, JobError)):
        saved_model.export(separator_around(NoisyHalves()), tmp_path)
    assert list(listing(tmp_path)) == []


def test_warm_up_requests_are_answered(tmp_path: Path) -> None:
    """Read as a server reads them: two for each signature, each of which runs."""
    folder = saved_model.export(separator_around(NoisyHalves()), tmp_path)
    loaded = tf.saved_model.load(str(folder))
    asked = []
    for signature, inputs in warmup.read(folder):
        assert loaded.signatures[signature](**{key: tf.constant(value) for key, value in inputs.items()})
        asked.append((signature, len(next(iter(inputs.values())))))
    names = ("serving_default", "separate_stereo", "segments", "info")
    assert asked == [(name, rows) for name in names for rows in (1, 2)]


def test_warm_up_requests_of_the_smallest_export_are_answered(tmp_path: Path) -> None:
    """Whose requests hold one segment, 64 samples of 8 kHz: two rows are more."""
    folder = saved_model.export(separator_around(NoisyHalves()), tmp_path, max_seconds=0.008)
    loaded = tf.saved_model.load(str(folder))
    asked = []
    for signature, inputs in warmup.read(folder):
        assert loaded.signatures[signature](**{key: tf.constant(value) for key, value in inputs.items()})
        asked.append((signature, len(next(iter(inputs.values())))))
    assert asked == [(name, 1) for name in ("serving_default", "separate_stereo", "segments", "info")]
    facts = json.loads((folder / "assets.extra" / "tfsep.json").read_text())
    assert facts["most_samples"] == 64


def test_seconds_of_whole_samples_are_counted_whole() -> None:
    """In floating point 1001 samples at 8 kHz are a little less than that."""
    assert int(1001 / 8000 * 8000) == 1000
    assert ServedModel(separator_around(NoisyHalves()), max_seconds=1001 / 8000).bound.most == 1001


@pytest.mark.parametrize("signature", ["serving_default", "separate_stereo", "segments"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_an_error(signature: str, value: float) -> None:
    failing = NoisyHalves(lambda wave: tf.where(tf.abs(wave) > 1.0, value, wave))
    served = ServedModel(separator_around(failing))
    wave = np.full((3, 64, 2) if signature == "separate_stereo" else (3, 64), 0.5, np.float32)
    more = {"seed": tf.zeros([3, 2], tf.int32)} if signature == "segments" else {}
    served.graphs[signature](waveform=tf.constant(wave), **more)
    wave[1, 7] = 100.0
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[the model has no finite answer to row 1\]"):
        served.graphs[signature](waveform=tf.constant(wave), **more)


@pytest.mark.parametrize("face", [grpc_server, rest_server])
def test_a_rule_of_an_export_reaches_a_client(face: Any, tmp_path: Path) -> None:
    folder = saved_model.export(separator_around(NoisyHalves()), tmp_path)
    with face(of_saved_model(folder)) as address, Client(address, "tiny") as client:
        assert client.facts.most_samples == 120 * 8000
        wave = np.full((2, 100), 0.1, np.float32)
        assert client.predict("serving_default", {"waveform": wave})["low"].shape == (2, 100)
        wave[1, 3] = np.nan
        rule = r"waveform must be finite, got NaN or infinity in row 1"
        with pytest.raises(InputError, match=rf"^the server refuses the request: assertion failed: \[{rule}\]$"):
            client.predict("serving_default", {"waveform": wave})
        with pytest.raises(InputError, match="the request: input tensor alias not found in signature: wave"):
            client.predict("serving_default", {"wave": wave})
        with pytest.raises(InputError, match="the request: input size does not match signature: 0!=1"):
            client.predict("serving_default", {})
        with pytest.raises((InputError, JobError), match='Serving signature key "separate" not found'):
            client.predict("separate", {"waveform": wave})


def test_what_a_server_cannot_run_is_refused(tmp_path: Path) -> None:
    by_python = NoisyHalves(lambda x: tf.ensure_shape(tf.py_function(lambda y: y, [x], tf.float32), [None, 64]))
    with pytest.raises(InputError, match="py_function"):
        saved_model.export(separator_around(by_python), tmp_path / "base")
    by_xla = NoisyHalves(tf.function(lambda x: x + 1.0, jit_compile=True))
    with pytest.raises(InputError, match="jit_compile=True"):
        saved_model.export(separator_around(by_xla), tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_a_base_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot be written"):
        saved_model.export(separator_around(NoisyHalves()), tmp_path / "file" / "base")
