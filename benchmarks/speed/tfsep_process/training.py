"""A step of training as :class:`tfsep.training.trainer.Trainer` takes it: noise, gradient, update, averages."""

from __future__ import annotations

import math
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.records import Setting
from benchmarks.speed.tfsep_process import example
from benchmarks.speed.worker import Case
from tfsep.priors.base import Prior
from tfsep.training.task import FitSettings, Task
from tfsep.training.trainer import Trainer

_FIT = {"learning_rate": 1e-4, "warmup_steps": 1, "decay": "constant", "clip_norm": 1.0}


def step(
    prior: Setting,
    batch: int,
    file: str,
    variant: Setting | None = None,
    fit: Setting | None = None,
) -> Case:
    """Build a case of training steps on one batch of events.

    Args:
        prior: architecture, shared with PyTorch.
        batch: events in a step.
        file: where weights and events go, for PyTorch to load.
        variant: settings of the prior that change how it is computed; of one in another precision
            the float32 model is what PyTorch must agree with.
        fit: settings of the trainer, such as ``jit_compile``.
    """
    model = example.build(prior, variant or {}, seed=0)
    x, sigma = example.events(model, batch, seed=1)
    example.save(model, x, sigma, file)
    check = example.nats(example.in_full_precision(model, prior, variant or {}), x, sigma)
    start = time.perf_counter()
    built = trainer(model, x, fit or {})
    iterator = built.iterator()
    prepared = time.perf_counter() - start

    def once() -> object:
        return built.run(iterator, 1)

    return Case(once, check=check, prepared=prepared, rise=lambda: example.rise(once))


def trainer(model: keras.Model, x: np.ndarray, fit: Setting) -> Trainer:
    """Build a trainer by maximum likelihood on the same events (batch, ...) over and over."""

    def build() -> keras.Model:
        return model

    def dataset(first: int) -> tf.data.Dataset:
        del first
        return tf.data.Dataset.from_tensors(x).repeat()

    task = Task("speed", build, maximum_likelihood, dataset, sample_rate=16000)
    settings = FitSettings(**{**_FIT, "batch_size": len(x), **fit})
    return Trainer(task, settings, 0, tf.distribute.get_strategy())


def maximum_likelihood(prior: Prior, events: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Compute :func:`tfsep.training.prior_objectives.maximum_likelihood` from events instead of waveforms."""
    low, high = math.log(prior.smallest_sigma), math.log(prior.largest_sigma)
    sigma = tf.exp(low + (high - low) * tf.random.stateless_uniform(tf.shape(events)[:1], seed + 1, alg="philox"))
    noise = tf.random.stateless_normal(tf.shape(events), seed, alg="philox")
    noisy = events + tf.reshape(sigma, [-1] + [1] * len(prior.event_shape)) * noise
    return -tf.reduce_mean(prior.nats_per_dim(noisy, sigma)), {}
