"""The ranges of the training settings, and which of them may differ when a training is resumed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tfsep.errors import InputError
from tfsep.training.task import FREE, FitSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_steps", 0),
        ("num_steps", 10.0),
        ("num_steps", True),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "fast"),
        ("warmup_steps", -1),
        ("decay", "linear"),
        ("weight_decay", -0.1),
        ("clip_norm", -1.0),
        ("ema_decay", 1.0),
        ("ema_decay", -0.1),
        ("checkpoint_every", 0),
        ("log_every", 0),
        ("preview_every", -1),
        ("keep", 0),
        ("steps_per_call", 0),
        ("jit_compile", "yes"),
        ("nan_guard", 0),
        ("deterministic", 1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"fit\.{name} must be .*got {value!r}"):
        FitSettings(**{name: value})


def test_the_edges_of_the_ranges_are_allowed() -> None:
    FitSettings(num_steps=1, warmup_steps=0, weight_decay=0, clip_norm=0.0, ema_decay=0.0, preview_every=0, keep=1)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FitSettings().num_steps = 3  # type: ignore[misc]


def test_only_habits_are_free() -> None:
    assert FREE == {"checkpoint_every", "log_every", "preview_every", "keep", "steps_per_call", "nan_guard"}
    assert set(FitSettings().decisive()) == {f.name for f in dataclasses.fields(FitSettings)} - FREE
