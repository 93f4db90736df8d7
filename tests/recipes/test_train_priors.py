"""How a source's prior is trained: what is shown of it meanwhile, and priors that are learned at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.data.toy import ToyData
from tfsep.errors import InputError
from tfsep.models.store import load_prior
from tfsep.recipes import train
from tfsep.recipes.train_priors import learned_prior, prior_task
from tfsep.training.task import FitSettings

RATE, SEGMENT, SEED = 16000, 64, 3
GLOW = dict(
    kind="glow", domain="wave", squeeze=4, num_levels=1, num_steps=1, width=4, num_layers=1, sigma_range=(0.01, 8.0)
)
SPECTRAL: dict[str, Any] = dict(
    kind="spectral_realnvp", domain="wave", length=SEGMENT, num_levels=2, width=8, num_blocks=1, lower_width=4
)
SCORE = dict(kind="score", domain="wave", width=8, num_blocks=1, local_width=0, num_sampling_steps=2)
TEMPLATE = dict(kind="template", domain="wave", num_templates=4, length=SEGMENT)
FIT = FitSettings(num_steps=4, batch_size=4, warmup_steps=0, deterministic=False)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_what_is_shown_of_a_prior_while_it_trains(seed: int) -> None:
    task = prior_task("sine", {**GLOW, "length": SEGMENT}, ToyData(RATE), FIT, seed)
    assert task.name == "sine" and task.sample_rate == RATE and task.preview and task.validate
    model = task.build()
    shown = task.preview(model)
    assert {name: wave.shape for name, wave in shown.items()} == {"sample": (4, SEGMENT), "data": (4, SEGMENT)}
    assert all(np.isfinite(wave).all() for wave in shown.values())
    assert np.isfinite(list(task.validate(model).values())).all()
    assert next(iter(task.dataset(7))).shape == (4, SEGMENT)


def test_a_prior_without_a_density_is_scored_by_its_denoiser() -> None:
    task = prior_task("sine", {**SCORE, "length": SEGMENT}, ToyData(RATE), FIT, SEED)
    assert task.preview and task.validate
    model = task.build()
    assert task.preview(model)["sample"].shape == (4, SEGMENT)
    found = task.validate(model)
    assert set(found) == {"weighted_mse_wave", "log_weighted_mse_wave"} and np.isfinite(list(found.values())).all()


def test_a_denoiser_may_learn_its_source_from_other_sounds() -> None:
    arguments, data = {**SCORE, "length": SEGMENT}, ToyData(RATE)
    task = prior_task("sine", arguments, data, FIT, SEED, background=data, background_share=1.0)
    assert task.preview and task.validate and task.initialise
    model = task.build()
    wave, background = batch = next(iter(task.dataset(0)))
    assert wave.shape == background.shape == (4, SEGMENT)
    task.initialise(model, batch, tf.constant([SEED, 0]))
    assert float(model.data_std.numpy()) != 1.0
    assert {name: wave.shape for name, wave in task.preview(model).items()} == {
        "noisy": (4, SEGMENT),
        "denoised": (4, SEGMENT),
    }
    assert np.isfinite(list(task.validate(model).values())).all()
    assert np.isfinite(float(task.objective(model, batch, tf.constant([SEED, 1]))[0]))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"background_share": 1.5}, r"background_share must lie in 0\.\.1, got 1\.5"),
        ({"background": ToyData(12000)}, "sample rate of train.data, got 16000 and 12000 Hz"),
        ({"background": ToyData(RATE, sources=("sine",))}, "a source besides 'sine'"),
        ({"arguments": {**GLOW, "length": SEGMENT}}, "or a 'spectral_realnvp' with train.prior_denoising, got 'glow'"),
        ({"arguments": SPECTRAL}, "or a 'spectral_realnvp' with train.prior_denoising, got 'spectral_realnvp'"),
    ],
)
def test_a_background_that_cannot_serve_is_refused(changes: dict[str, Any], complaint: str) -> None:
    given = {"arguments": {**SCORE, "length": SEGMENT}, "background": ToyData(RATE), **changes}
    with pytest.raises(InputError, match=complaint):
        prior_task("sine", data=ToyData(RATE), settings=FIT, seed=SEED, **given)


def test_a_flow_may_be_trained_on_its_denoiser_beside_the_likelihood() -> None:
    arguments = {**GLOW, "length": SEGMENT}
    task = prior_task("sine", arguments, ToyData(RATE), FIT, SEED, denoising=0.3)
    assert task.validate and set(task.validate(task.build())) == {"nats_per_dim_wave", "log_error_wave"}
    for given, denoising in ((arguments, -0.1), ({**SCORE, "length": SEGMENT}, 0.3)):
        with pytest.raises(InputError, match=f"prior_denoising must be at least 0.*got {denoising:g} for a prior"):
            prior_task("sine", given, ToyData(RATE), FIT, SEED, denoising=denoising)


def test_a_spectral_flow_may_learn_its_source_among_others() -> None:
    """Its denoiser then gives no score, which samplers that need one say."""
    data = ToyData(RATE)
    arguments = {**SPECTRAL, "background": True}
    task = prior_task("sine", arguments, data, FIT, SEED, background=data, background_share=1.0, denoising=0.3)
    model, batch = task.build(), next(iter(task.dataset(0)))
    assert not model.has_score and len(batch) == 2
    assert np.isfinite(float(task.objective(model, batch, tf.constant([SEED, 1]))[0]))
    with pytest.raises(InputError, match="learned to denoise among other sounds"):
        posteriors.build("langevin", [model, model])
    assert posteriors.build("gibbs", [model, model], update="jacobi").segment == SEGMENT


def test_a_prior_over_spectra_is_trained_and_shown_as_sound() -> None:
    front_end = {"frame_length": 64, "frame_step": 16, "frame_multiple": 2}
    spectral = {**GLOW, "domain": "log_stft", "front_end": front_end, "squeeze": 2, "length": 256}
    task = prior_task("sine", spectral, ToyData(RATE), FIT, SEED)
    assert task.preview and task.validate
    model = task.build()
    assert task.preview(model)["sample"].shape == (4, 256)
    assert set(task.validate(model)) == {"nats_per_dim_log_stft"}


def test_validation_data_are_what_parts_are_scored_on() -> None:
    arguments = {**GLOW, "length": SEGMENT}
    scores = []
    for validation in (None, ToyData(RATE), ToyData(RATE, free=True)):
        task = prior_task("sine", arguments, ToyData(RATE), FIT, SEED, validation)
        assert task.preview
        scores.append(task.preview(task.build())["data"])
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3


def test_a_learned_prior_is_kept_and_taken_up_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = learned_prior("sine", TEMPLATE, ToyData(RATE), 6, tmp_path, SEED)
    assert "sine: template over wave learned from 6 excerpts: templates 4" in capsys.readouterr().err
    kept = (tmp_path / "sine" / "learned.safetensors").stat().st_mtime_ns
    again = learned_prior("sine", TEMPLATE, ToyData(RATE), 6, tmp_path, SEED)
    assert capsys.readouterr().err == ""
    assert (tmp_path / "sine" / "learned.safetensors").stat().st_mtime_ns == kept
    for mine, its in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("changes", [{"num": 7}, {"seed": SEED + 1}, {"arguments": {**TEMPLATE, "unexplained": 0.5}}])
def test_a_prior_learned_otherwise_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = {"arguments": TEMPLATE, "data": ToyData(RATE), "num": 6, "save_dir": tmp_path, "seed": SEED}
    (tmp_path / "sine").mkdir()
    made_with = {"prior": TEMPLATE, "num_examples": 6, "seed": SEED}
    (tmp_path / "sine" / "learned.json").write_text(json.dumps(made_with, sort_keys=True), encoding="utf-8")
    with pytest.raises(InputError, match="learned otherwise; use another --save_dir or --noresume") as info:
        learned_prior("sine", **{**settings, **changes})
    assert "\n" not in str(info.value)


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train.num_examples must be at least 1, got 0"):
        learned_prior("sine", TEMPLATE, ToyData(RATE), 0, tmp_path, SEED)


def test_a_recipe_leaves_a_learned_wavetable_that_loads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What learning finds has tests of its own; here it sets one weight."""

    def learn(prior: Any, waves: np.ndarray) -> dict[str, float]:
        assert waves.shape == (5, SEGMENT)
        prior.residual.assign(0.123)
        return {"residual": 0.123}

    monkeypatch.setitem(priors.LEARNERS, "wavetable", (learn, 1))
    wavetable = dict(kind="wavetable", domain="wave", num_pitches=4, num_phases=8, num_refined=2)
    gibbs = dict(kind="gibbs", num_levels=2, num_restarts=1)
    data = ToyData(RATE, sources=("sine", "square"))
    train.train(tmp_path, data, SEGMENT, prior=wavetable, posteriors=(gibbs,), num_examples=5, seed=SEED)
    prior: Any = load_prior(tmp_path / "model", "square")
    assert prior.kind == "wavetable" and float(prior.residual.numpy()) == pytest.approx(0.123)
    assert np.isfinite(prior.log_prob(tf.zeros((1, SEGMENT, 1)))).all()
