"""Whole trainings: the known optimum, exact resumes after every kind of end, and returns from numbers not finite."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError, JobError
from tfsep.training.loop import MAX_RESTORES, StopRequest, fit

SCRIPT = Path(__file__).with_name("gaussian.py")
NAN = float("nan")


class Crash(Exception):
    """Something that breaks a training off."""


def curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "gaussian" / "curve.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def uninterrupted(gaussian: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of a training with seed 3 that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return gaussian.fingerprint(fit(gaussian.gaussian_task(), folder, gaussian.settings(), seed=3))


def test_maximum_likelihood_reaches_the_entropy(gaussian: ModuleType, tmp_path: Path) -> None:
    task = gaussian.gaussian_task(objective=gaussian.negative_log_likelihood)
    chosen = gaussian.settings(num_steps=1200, weight_decay=0.0, checkpoint_every=1200, log_every=100, ema_decay=0.98)
    model = fit(task, tmp_path, chosen)
    held_out = tf.concat(list(gaussian.batches(10**6).take(1000)), axis=0)
    nats = -float(tf.reduce_mean(model.log_prob(held_out))) / gaussian.DIMENSIONS
    assert nats == pytest.approx(gaussian.ENTROPY, abs=0.02)
    lines = curve(tmp_path)
    assert [line["step"] for line in lines] == list(range(100, 1201, 100))
    assert set(lines[0]) == {
        "step", "loss", "nats_per_dim", "gradient_norm", "learning_rate", "seconds_per_step", "restores"
    }  # fmt: skip
    assert lines[0]["loss"] > lines[-1]["loss"]


def test_two_devices_learn_what_one_learns(
    gaussian: ModuleType, tmp_path: Path, mirrored: tf.distribute.Strategy
) -> None:
    task = gaussian.gaussian_task(objective=gaussian.negative_log_likelihood)
    one = fit(task, tmp_path / "one", gaussian.settings(num_steps=30))
    two = fit(task, tmp_path / "two", gaussian.settings(num_steps=30), strategy=mirrored)
    for left, right in zip(one.variables, two.variables, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), atol=1e-5)


@pytest.mark.parametrize("crash_at", [1, 27, 45])
def test_a_crash_costs_steps_and_not_exactness(
    gaussian: ModuleType, tmp_path: Path, uninterrupted: str, crash_at: int
) -> None:
    def breaking(first: int) -> tf.data.Dataset:
        return gaussian.batches(first).take(crash_at - first)

    with pytest.raises(JobError, match=f"data of task gaussian ended at step {crash_at}"):
        fit(gaussian.gaussian_task(dataset=breaking), tmp_path, gaussian.settings(steps_per_call=7), seed=3)
    model = fit(gaussian.gaussian_task(), tmp_path, gaussian.settings(steps_per_call=3), seed=3)
    assert gaussian.fingerprint(model) == uninterrupted
    assert [line["step"] for line in curve(tmp_path)] == [10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_rest_is_exact(
    gaussian: ModuleType, tmp_path: Path, uninterrupted: str, number: int
) -> None:
    task = gaussian.gaussian_task(validate=lambda model: os.kill(os.getpid(), number) or {})
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(SystemExit) as leave:
        fit(task, tmp_path, gaussian.settings(preview_every=33), seed=3)
    assert leave.value.code == 128 + number
    assert (tmp_path / "gaussian" / "ckpt-33.index").is_file()
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert gaussian.fingerprint(fit(gaussian.gaussian_task(), tmp_path, gaussian.settings(), seed=3)) == uninterrupted


def test_a_kill_costs_at_most_one_interval_and_not_exactness(gaussian: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "killed"), "1000"]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    folder = tmp_path / "killed" / "gaussian"
    with subprocess.Popen(command, env=surroundings, stderr=subprocess.DEVNULL) as killed:
        while not (folder / "ckpt-300.index").is_file():
            assert killed.poll() is None
            time.sleep(0.002)
        killed.kill()
    newest = max(int(path.stem.split("-")[1]) for path in folder.glob("ckpt-*.index"))
    logged = [json.loads(line)["step"] for line in (folder / "curve.jsonl").read_text().splitlines()[:-1]]
    assert 200 <= newest < 1000
    assert max(logged) <= newest + 100
    resumed = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True)
    whole = fit(gaussian.gaussian_task(), tmp_path / "whole", gaussian.settings(num_steps=1000), seed=3)
    assert resumed.stdout.split() == [gaussian.fingerprint(whole)]
    assert [line["step"] for line in curve(tmp_path / "killed")] == list(range(10, 1001, 10))


def test_previews_and_validation_leave_the_training_as_it_is(
    gaussian: ModuleType, tmp_path: Path, uninterrupted: str
) -> None:
    seen = []

    def validate(model: Any) -> dict[str, float]:
        seen.append(model.kernel.numpy())
        return {"determinant": float(tf.linalg.det(model.kernel))}

    task = gaussian.gaussian_task(validate=validate, preview=lambda model: {"noise": np.zeros((2, 800), np.float32)})
    model = fit(task, tmp_path, gaussian.settings(preview_every=25), seed=3)
    assert gaussian.fingerprint(model) == uninterrupted
    assert len(seen) == 3
    np.testing.assert_array_equal(seen[-1], model.kernel.numpy())
    scores = [line for line in curve(tmp_path) if "validation/determinant" in line]
    assert [line["step"] for line in scores] == [25, 50, 60]


def test_a_finished_training_is_not_run_again(gaussian: ModuleType, tmp_path: Path, uninterrupted: str) -> None:
    def never(first: int) -> tf.data.Dataset:
        raise Crash

    fit(gaussian.gaussian_task(), tmp_path, gaussian.settings(), seed=3)
    again = fit(gaussian.gaussian_task(dataset=never), tmp_path, gaussian.settings(keep=5, log_every=7), seed=3)
    assert gaussian.fingerprint(again) == uninterrupted
    with pytest.raises(Crash):
        fit(gaussian.gaussian_task(dataset=never), tmp_path, gaussian.settings(), seed=3, resume=False)


def test_other_settings_or_seeds_are_refused(gaussian: ModuleType, tmp_path: Path) -> None:
    chosen = gaussian.settings(num_steps=2)
    fit(gaussian.gaussian_task(), tmp_path, chosen, seed=3)
    with pytest.raises(InputError, match="seed had 3, now 4; use --noresume"):
        fit(gaussian.gaussian_task(), tmp_path, chosen, seed=4)
    with pytest.raises(InputError, match="num_steps had 2, now 3"):
        fit(gaussian.gaussian_task(), tmp_path, dataclasses.replace(chosen, num_steps=3), seed=3)
    fit(gaussian.gaussian_task(), tmp_path, dataclasses.replace(chosen, num_steps=3), seed=4, resume=False)
    assert curve(tmp_path)[-1]["step"] == 3


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(gaussian: ModuleType, tmp_path: Path, seed: int) -> None:
    with pytest.raises(InputError, match=r"seed must lie in 0\.\.4294967295"):
        fit(gaussian.gaussian_task(), tmp_path, gaussian.settings(), seed=seed)


def test_bad_luck_returns_to_the_last_checkpoint(
    gaussian: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The objective fails by chance of its seed; after a return the seeds are others and the rate is half."""

    def unlucky(model: Any, batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        loss, metrics = gaussian.negative_log_likelihood(model, batch, seed)
        return loss * tf.where(tf.random.stateless_uniform((), seed) < 0.04, NAN, 1.0), metrics

    model = fit(gaussian.gaussian_task(objective=unlucky), tmp_path, gaussian.settings(decay="constant"), seed=5)
    messages = [line for line in capsys.readouterr().err.splitlines() if "not finite; back to step" in line]
    last = curve(tmp_path)[-1]
    assert 1 <= len(messages) <= MAX_RESTORES
    assert last["restores"] == len(messages)
    assert last["learning_rate"] == pytest.approx(0.02 * 0.5 ** len(messages))
    assert [line["step"] for line in curve(tmp_path)] == [10, 20, 30, 40, 50, 60]
    assert all(np.isfinite(v.numpy()).all() for v in model.variables)


def test_a_batch_that_is_never_finite_ends_the_job(gaussian: ModuleType, tmp_path: Path) -> None:
    def spoilt(first: int) -> tf.data.Dataset:
        return gaussian.batches(first).enumerate(first).map(lambda i, b: tf.where(i == 33, b * NAN, b))

    with pytest.raises(JobError, match="not finite at step 33, after 5 returns"):
        fit(gaussian.gaussian_task(dataset=spoilt), tmp_path, gaussian.settings())
    assert [line["step"] for line in curve(tmp_path)] == [10, 20, 30]


def test_without_the_guard_weights_that_are_not_finite_end_the_job(gaussian: ModuleType, tmp_path: Path) -> None:
    def spoilt(first: int) -> tf.data.Dataset:
        return gaussian.batches(first).enumerate(first).map(lambda i, b: tf.where(i == 13, b * NAN, b))

    chosen = gaussian.settings(num_steps=20, nan_guard=False, checkpoint_every=5)
    with pytest.raises(JobError, match="not finite at step 15; they are not saved"):
        fit(gaussian.gaussian_task(dataset=spoilt), tmp_path, chosen)
    guarded = dataclasses.replace(chosen, nan_guard=True)
    model = fit(gaussian.gaussian_task(), tmp_path, guarded)
    assert all(np.isfinite(v.numpy()).all() for v in model.variables)


@pytest.mark.parametrize("spoilt_step", [19, 13])
def test_without_the_guard_a_last_loss_that_is_not_finite_is_an_error(
    gaussian: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt_step: int
) -> None:
    """Its weights are finite and stay; the same is said when the training is called again. Earlier ones pass."""

    def objective(model: Any, batch: tf.Tensor, seed: tf.Tensor) -> Any:
        loss, metrics = gaussian.negative_log_likelihood(model, tf.clip_by_value(batch, -5.0, 5.0), seed)
        return loss + tf.where(tf.reduce_any(batch > 50.0), np.inf, 0.0), metrics

    def spoilt(first: int) -> tf.data.Dataset:
        return gaussian.batches(first).enumerate(first).map(lambda i, b: tf.where(i == spoilt_step, b + 100.0, b))

    task = gaussian.gaussian_task(dataset=spoilt, objective=objective)
    chosen = gaussian.settings(num_steps=20, log_every=5, nan_guard=False)
    models = [fit(task, tmp_path, chosen) for _ in range(2)]
    assert all(np.isfinite(v.numpy()).all() for model in models for v in model.variables)
    assert [line["loss"] is None for line in curve(tmp_path)].index(True) == (3 if spoilt_step == 19 else 2)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    rule = "task gaussian: the last loss is not finite ({}), though its weights are (fit.nan_guard = True returns"
    if spoilt_step == 19:
        assert all(text.startswith(rule.format(value)) for text, value in zip(said, ("inf", "nan"), strict=True))
    else:
        assert said == []


def test_a_second_training_in_one_folder_is_refused(gaussian: ModuleType, tmp_path: Path) -> None:
    def nested(model: Any) -> dict[str, float]:
        with pytest.raises(JobError, match="another process is training in"):
            fit(gaussian.gaussian_task(), tmp_path, gaussian.settings(), seed=3)
        return {}

    fit(gaussian.gaussian_task(validate=nested), tmp_path, gaussian.settings(num_steps=2, preview_every=2), seed=3)
    fit(gaussian.gaussian_task(), tmp_path, gaussian.settings(num_steps=2), seed=3)


@pytest.mark.parametrize("stuck", [False, True])
def test_a_signal_while_the_first_call_compiles_acts_within_seconds(
    gaussian: ModuleType, tmp_path: Path, stuck: bool
) -> None:
    """Tracing is Python, where the handler runs; a compiler is one call outside Python, here a slow hash."""
    code = f"""
import hashlib, sys, time
sys.path.insert(0, {str(SCRIPT.parent)!r})
import gaussian
from tfsep.training.loop import fit
def slow(model, batch, seed):
    print("compiling", flush=True)
    {'hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)' if stuck else "time.sleep(60)"}
    return gaussian.negative_log_likelihood(model, batch, seed)
fit(gaussian.gaussian_task(objective=slow), {str(tmp_path)!r}, gaussian.settings(), seed=3)
"""
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as started:
        assert started.stdout is not None and started.stdout.readline() == "compiling\n"
        time.sleep(0.2)
        began = time.monotonic()
        started.terminate()
        try:
            assert started.wait(timeout=20) == 143
        finally:
            started.kill()
    assert time.monotonic() - began < 10.0
    assert (tmp_path / "gaussian" / "ckpt-0.index").is_file()


def test_initialisation_happens_once(gaussian: ModuleType, tmp_path: Path) -> None:
    calls = []
    task = gaussian.gaussian_task(initialise=lambda model, batch, seed: calls.append(batch.shape))
    fit(task, tmp_path, gaussian.settings(num_steps=2))
    fit(task, tmp_path, gaussian.settings(num_steps=2))
    assert calls == [(gaussian.BATCH, gaussian.DIMENSIONS)]


def test_the_state_of_a_small_model_is_small(gaussian: ModuleType, tmp_path: Path) -> None:
    fit(gaussian.gaussian_task(), tmp_path, gaussian.settings(preview_every=20))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 200_000


def test_a_second_signal_acts_as_before() -> None:
    # A shell that starts this in the background has it ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.0)
    signal.signal(signal.SIGINT, before)
