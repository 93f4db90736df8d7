"""What is trained (:class:`Task`) and how: steps, rates, checkpoints (:class:`FitSettings`).

A task is a set of functions: training calls them and depends on nothing else of models and data. Its
data are a pure function of (seed, step), which makes an exact resume possible: restarting at step n
is enough.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfsep.errors import InputError

#: What an objective returns: the loss, a scalar, and metrics, scalars by name.
Loss: TypeAlias = tuple[tf.Tensor, dict[str, tf.Tensor]]

DECAYS = ("cosine", "constant")
_FREE = {"free": True}


@dataclass(frozen=True)
class Task:
    """One model to train.

    Attributes:
        name: short name ("sine", "posterior"); also the name of the task's folder.
        build: makes the model with all its weights created; called under ``strategy.scope()``.
        objective: (model, batch, seed) -> (loss, metrics); the batch is one element of ``dataset``
            or the share of one replica, the seed an int32 tensor (2,), the loss a scalar, the mean
            over the batch, the metrics scalars (means over the batch as well). Traced into the
            training graph.
        dataset: first_step -> an unending data set with one global batch (batch, ...) per step,
            starting with that of ``first_step``; a pure function of (seed, step).
        sample_rate: in Hz, of the waveforms of ``preview``.
        initialise: (model, batch, seed), data-dependent initialisation on the first batch, run
            eagerly before tracing.
        preview: model -> {name: waveforms (num, time) in -1..1} for TensorBoard; called with
            averaged weights.
        validate: model -> {name: value}; called with averaged weights.
    """

    name: str
    build: Callable[[], keras.Model]
    objective: Callable[[keras.Model, tf.Tensor, tf.Tensor], Loss]
    dataset: Callable[[int], tf.data.Dataset]
    sample_rate: int
    initialise: Callable[[keras.Model, tf.Tensor, tf.Tensor], None] | None = None
    preview: Callable[[keras.Model], dict[str, np.ndarray]] | None = None
    validate: Callable[[keras.Model], dict[str, float]] | None = None


@dataclass(frozen=True)
class FitSettings:
    """Length, rates, checkpoints and compilation of one training.

    The settings marked free do not change the weights that come out and may differ when a training
    is resumed.

    Attributes:
        num_steps: optimiser steps in all.
        batch_size: examples per step over all replicas; used by the data set.
        learning_rate: peak rate of AdamW.
        warmup_steps: the rate rises linearly over these steps.
        decay: "cosine" falls to zero at ``num_steps``, "constant" stays at the peak.
        weight_decay: decoupled, on weights of rank two and above only.
        clip_norm: largest global gradient norm; 0 leaves gradients as they are.
        nan_guard: return to the last checkpoint at a step that is not finite; without it, such a
            step changes the weights (free: a training that stays finite is the same with it and
            without).
        ema_decay: decay of the averaged weights, in 0..1 (1 excluded).
        checkpoint_every: steps between checkpoints, the most that a kill can lose (free).
        log_every: steps between lines of the training curve (free).
        preview_every: steps between previews, histograms and validation; 0 for none (free).
        keep: checkpoints kept (free).
        steps_per_call: most steps run before control returns to the host (free).
        jit_compile: compile gradients and update with XLA.
        deterministic: the same bits in every run on the same machine, at some cost in speed on a
            GPU.
    """

    num_steps: int = 10_000
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    decay: str = "cosine"
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    nan_guard: bool = field(default=True, metadata=_FREE)
    ema_decay: float = 0.999
    checkpoint_every: int = field(default=500, metadata=_FREE)
    log_every: int = field(default=50, metadata=_FREE)
    preview_every: int = field(default=0, metadata=_FREE)
    keep: int = field(default=2, metadata=_FREE)
    steps_per_call: int = field(default=50, metadata=_FREE)
    jit_compile: bool = False
    deterministic: bool = True

    def __post_init__(self) -> None:
        """Check every range.

        Raises:
            InputError: naming the setting, its rule and its value.
        """
        for name in ("num_steps", "batch_size", "checkpoint_every", "log_every", "keep", "steps_per_call"):
            _check(name, getattr(self, name), _is_count(getattr(self, name), 1), "a whole number of at least 1")
        for name in ("warmup_steps", "preview_every"):
            _check(name, getattr(self, name), _is_count(getattr(self, name), 0), "a whole number of at least 0")
        for name in ("weight_decay", "clip_norm"):
            _check(name, getattr(self, name), _is_real(getattr(self, name)), "a finite number of at least 0")
        rate = self.learning_rate
        _check("learning_rate", rate, _is_real(rate) and rate > 0, "a finite number above 0")
        _check("ema_decay", self.ema_decay, _is_real(self.ema_decay) and self.ema_decay < 1, "in 0..1, 1 excluded")
        _check("decay", self.decay, self.decay in DECAYS, f"one of {', '.join(DECAYS)}")
        for name in ("nan_guard", "jit_compile", "deterministic"):
            _check(name, getattr(self, name), isinstance(getattr(self, name), bool), "True or False")

    def decisive(self) -> dict[str, object]:
        """Return the settings that a resumed training must share: all but the free ones."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name not in FREE}


FREE = frozenset(item.name for item in dataclasses.fields(FitSettings) if item.metadata.get("free"))


def _check(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise InputError(f"fit.{name} must be {rule}, got {value!r}")


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_real(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0
