"""The signatures of a served model: what is asked, what is answered, with the batch as the first axis everywhere.

===================  ==============================================  ===================================
signature            inputs                                          outputs, one for each source
===================  ==============================================  ===================================
``serving_default``  waveform [batch, time]                          [batch, time]
``separate_stereo``  waveform [batch, time, 2]                       [batch, time, 2]
``samples``          waveform [batch, time], seed [batch] int32      [batch, sample, time]
``uncertainty``      waveform [batch, time], seed [batch] int32      [batch, time], standard deviations
``log_prob``         waveform [batch, time]                          [batch, segment], nats
``segments``         waveform [batch, segment], seed [batch, 2]      [batch, segment]
``info``             request [batch] int32, of any value             facts about the model, [batch, ...]
===================  ==============================================  ===================================

Waveforms are float32, linear, at the model's sample rate; all outputs are float32 at the scale of
the mixture, so that over sources they sum to the waveform. Every row is separated on its own, with
random numbers of its own seed: it has the answer that it would have alone. ``serving_default`` and
``separate_stereo`` have the seed 0.

``separate_stereo`` treats two channels as the command does, with the model's stereo mode.
``samples`` and ``uncertainty`` exist where draws differ as much as the posterior is uncertain, and
``log_prob`` for the sources whose priors over waveforms have a density. There the waveform is taken
for a clean source, before gains, and cut into segments side by side, of which the last ends with it.
``segments`` answers single segments with the seeds of their places, and is what a client calls that
cuts and joins a song itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from tfsep import __version__
from tfsep.audio import overlap_add
from tfsep.axes import Waves
from tfsep.errors import InputError
from tfsep.export.checks import Bound, checked_answer, checked_seeds, checked_waveform, require, shaped
from tfsep.export.half_weights import HalfWeights
from tfsep.priors.base import Prior
from tfsep.separation import consistency, segments, stereo
from tfsep.separation.separator import Separator
from tfsep.separation.settings import EACH, WIENER

#: Signatures by name, in the order in which they are built.
NAMES = ("serving_default", "separate_stereo", "samples", "uncertainty", "log_prob", "segments", "info")


class ServedModel:
    """The graphs that are served, and the variables that tracing captured.

    Args:
        separator: of the model.
        max_seconds: of sound in a request, all rows together; at least one segment.
        num_samples: posterior samples of ``samples`` and ``uncertainty``, at least 2.

    Attributes:
        graphs: the concrete functions of the signatures, by name.
        inputs: what each signature takes, {signature: {input: its shape and type}}.
        bound: on the samples of a request.
        variables: that they read.

    Raises:
        InputError: for an argument out of range, samples that do not fit the separator's memory budget,
            or sources whose names are none of an output.
    """

    def __init__(self, separator: Separator, max_seconds: float = 120.0, num_samples: int = 8) -> None:
        """Trace the graphs."""
        if num_samples < 2:
            raise InputError(f"the number of samples must be at least 2, got {num_samples}")
        self.bound = _bound(max_seconds, separator)
        if getattr(separator.model.posterior, "has_spread", False):
            separator.check_samples(num_samples)
        self._separator, self.max_seconds, self.num_samples = separator, max_seconds, num_samples
        self._separations: dict[int, tf.types.experimental.PolymorphicFunction] = {}
        self._weights = HalfWeights(separator.model.posterior)
        calls: dict[str, tuple[Callable[..., dict[str, tf.Tensor]], dict[str, tf.TensorSpec]]] = {}

        def add(call: Callable[..., dict[str, tf.Tensor]], **inputs: tf.TensorSpec) -> None:
            calls[call.__name__.removeprefix("_")] = (call, inputs)

        waveform, seed = tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int32)
        add(self._serving_default, waveform=waveform)
        add(self._separate_stereo, waveform=tf.TensorSpec([None, None, 2]))
        if getattr(separator.model.posterior, "has_spread", False):
            add(self._samples, waveform=waveform, seed=seed)
            add(self._uncertainty, waveform=waveform, seed=seed)
        self._priors = _priors_with_density(separator)
        if self._priors:
            add(self._log_prob, waveform=waveform)
        one_segment, pair = tf.TensorSpec([None, separator.segment]), tf.TensorSpec([None, 2], tf.int32)
        add(self._segments, waveform=one_segment, seed=pair)
        add(self._info, request=seed)
        self.inputs = {name: inputs for name, (_, inputs) in calls.items()}
        # In the graphs shapes are not known, as clients can send any: see tfsep.export.checks.
        self.graphs = {
            name: tf.function(
                call,
                input_signature=[tf.TensorSpec(None, spec.dtype, name=key) for key, spec in inputs.items()],
                autograph=False,
            ).get_concrete_function()
            for name, (call, inputs) in calls.items()
        }
        self.variables = _captured_variables(self.graphs.values())

    def _serving_default(self, waveform: Waves) -> dict[str, Waves]:
        """Separate waveforms (batch, time) into {source: stem} of the same shape."""
        waveform = self._checked(waveform, ("batch", "time"))
        stems = self._separated(waveform, tf.zeros([tf.shape(waveform)[0], 2], tf.int32), 1)[0]
        return self._by_source(stems, axis=1)

    def _separate_stereo(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Separate songs (batch, time, 2) into {source: stem} of the same shape."""
        separator, posterior = self._separator, self._separator.model.posterior
        waveform = self._checked(waveform, ("batch", "time", "2"))
        mixture = tf.transpose(waveform, [0, 2, 1])
        batch, time, count = tf.shape(waveform)[0], tf.shape(waveform)[1], posterior.num_sources
        scale = tf.ones([batch, 1])
        if separator.normalise:
            scale = separator.level_scales(tf.reshape(mixture, [batch, -1]))
        channels = scale[:, tf.newaxis] * mixture
        channels = channels if separator.stereo == EACH else stereo.mid_side_of(channels, axis=1)
        pieces = overlap_add.split(channels, separator.segment, separator.hop)
        num = tf.shape(pieces)[2]
        rows = tf.reshape(tf.transpose(pieces, [2, 0, 1, 3]), [-1, separator.segment])
        seeds = segments.seeds_of_segments((0, 0), 2 * batch, num)
        stems = tf.reshape(self._graph(1)(rows, seeds), [num * batch, 2, count, separator.segment])
        stems = tf.transpose(stems, [0, 2, 1, 3])
        stems = stereo.filtered_segments(stems) if separator.stereo == WIENER else stems
        stems = tf.transpose(tf.reshape(stems, [num, batch, count, 2, separator.segment]), [1, 2, 3, 0, 4])
        joined = overlap_add.join(stems, separator.hop, time) / scale[:, tf.newaxis, tf.newaxis]
        joined = joined if separator.stereo == EACH else stereo.mid_side_of(joined, axis=2)
        by_channel = tf.reshape(tf.transpose(joined, [0, 2, 1, 3]), [2 * batch, count, time])
        projected = consistency.project_stems(tf.reshape(mixture, [2 * batch, time]), by_channel, posterior.gains)
        return self._by_source(tf.transpose(tf.reshape(projected, [batch, 2, count, time]), [0, 2, 3, 1]), axis=1)

    def _samples(self, waveform: Waves, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Draw stems of waveforms (batch, time): {source: (batch, sample, time)}."""
        return self._by_source(tf.transpose(self._drawn(waveform, seed), [1, 0, 2, 3]), axis=2)

    def _uncertainty(self, waveform: Waves, seed: tf.Tensor) -> dict[str, Waves]:
        """Return the standard deviations of the draws of :meth:`_samples`: {source: (batch, time)}."""
        drawn = self._drawn(waveform, seed)
        error = drawn - tf.reduce_mean(drawn, axis=0)
        spread = tf.sqrt(tf.reduce_sum(error**2, axis=0) / (self.num_samples - 1.0))
        return self._by_source(spread, axis=1)

    def _drawn(self, waveform: Waves, seed: tf.Tensor) -> tf.Tensor:
        waveform = self._checked(waveform, ("batch", "time"))
        seed = checked_seeds(seed, waveform)
        return self._separated(waveform, tf.stack([seed, tf.zeros_like(seed)], axis=-1), self.num_samples)

    def _log_prob(self, waveform: Waves) -> dict[str, tf.Tensor]:
        """Return the log-density of clean segments in nats under each source's prior: {source: (batch, segment)}."""
        waveform = self._checked(waveform, ("batch", "time"))
        pieces = overlap_add.split(waveform, self._separator.segment, self._separator.segment)
        rows = tf.reshape(pieces, [-1, self._separator.segment])
        found = {source: prior.log_prob(rows[..., tf.newaxis]) for source, prior in self._priors.items()}
        shape = tf.shape(pieces)[:2]
        return {source: tf.reshape(tf.cast(each, tf.float32), shape) for source, each in found.items()}

    def _segments(self, waveform: Waves, seed: tf.Tensor) -> dict[str, Waves]:
        """Separate single segments (batch, segment) by seeds (batch, 2), at the level as they come."""
        segment = self._separator.segment
        waveform = self._checked(waveform, ("batch", str(segment)))
        rule = "seed must be [batch, 2], one pair for each segment, got shape {}"
        right = tf.equal(tf.rank(seed), 2) & tf.equal(tf.size(seed), 2 * tf.shape(waveform)[0])
        seed = shaped(require(right, rule, tf.shape(seed), seed), [None, 2])
        return self._by_source(self._graph(1)(waveform, seed)[:, 0], axis=1)

    def _info(self, request: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return what a client must know, once for each row of a request (batch,)."""
        separator, rows = self._separator, tf.size(request)
        facts = {
            "sample_rate": separator.sample_rate,
            "segment": separator.segment,
            "hop": separator.hop,
            "num_samples": self.num_samples,
            "max_seconds": float(self.max_seconds),
            "most_samples": self.bound.most,
            "sources": list(separator.sources),
            "gains": list(separator.gains),
            "level": float(separator.level),
            "stereo": separator.stereo,
            "normalise": bool(separator.normalise),
            "model": separator.name,
            "version": __version__,
        }
        return {
            name: tf.repeat(tf.constant(value)[tf.newaxis], rows, axis=0, name=name) for name, value in facts.items()
        }

    def _checked(self, waveform: tf.Tensor, axes: Sequence[str]) -> tf.Tensor:
        return checked_waveform(waveform, axes, self.bound)

    def _separated(self, waveform: Waves, seeds: tf.Tensor, num_samples: int) -> tf.Tensor:
        """Separate waveforms (batch, time) by their seeds (batch, 2): (num_samples, batch, source, time)."""
        separator = self._separator
        scale = separator.level_scales(waveform) if separator.normalise else tf.ones([1, 1])
        stems = segments.separate_waveform(
            separator.model.posterior,
            scale * waveform,
            separator.hop,
            num_samples,
            seeds,
            graph=self._graph(num_samples),
        )
        stems = stems / scale[:, tf.newaxis]
        return consistency.project_stems(waveform, stems, separator.model.posterior.gains)

    def _graph(self, num_samples: int) -> tf.types.experimental.PolymorphicFunction:
        """Return the separation of segments by their seeds, one function that signatures share."""
        if num_samples not in self._separations:
            separator = self._separator
            chunk_size = separator.chunk_size(num_samples)

            def separate(rows: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
                with self._weights.reading():
                    return segments.separate_segments(separator.model.posterior, rows, num_samples, seeds, chunk_size)

            specs = [tf.TensorSpec([None, separator.segment]), tf.TensorSpec([None, 2], tf.int32)]
            self._separations[num_samples] = tf.function(separate, input_signature=specs, autograph=False)
        return self._separations[num_samples]

    def _by_source(self, stems: tf.Tensor, axis: int) -> dict[str, tf.Tensor]:
        each = tf.unstack(checked_answer(stems), num=len(self._separator.sources), axis=axis)
        return dict(zip(self._separator.sources, each, strict=True))


def _bound(max_seconds: float, separator: Separator) -> Bound:
    """Return the bound on a request in samples.

    Raises:
        InputError: if it is less than a segment, or so much that samples cannot be counted.
    """
    rate, segment = separator.sample_rate, separator.segment
    if not 0.0 < max_seconds < 2**31 / rate:
        raise InputError(f"max_seconds must be above 0 and in samples below 2^31, got {max_seconds:g}")
    # A duration of whole samples may be a little less than them as a float.
    most = math.floor(round(max_seconds * rate, 3))
    if most < segment:
        shortest = f"{math.ceil(1e6 * segment / rate) / 1e6:.6f}".rstrip("0")
        rule = f"max_seconds must be at least one segment, {segment} samples = {shortest} s"
        raise InputError(f"{rule}, got {max_seconds:g}")
    return Bound(max_seconds, most, segment)


def _captured_variables(graphs: Iterable[tf.types.experimental.ConcreteFunction]) -> list[tf.Variable]:
    """Return the variables that graphs read; those that were only looked at while tracing are left out."""
    handles = {id(external) for each in graphs for external, _ in each.graph.captures}
    seen = {id(variable): variable for each in graphs for variable in each.graph.variables}
    return [variable for variable in seen.values() if id(variable.handle) in handles]


def _priors_with_density(separator: Separator) -> dict[str, Prior]:
    """Return the priors over waveforms that have a density by their source, of the first stage that has such priors."""
    posterior = separator.model.posterior
    for stage in (posterior, *getattr(posterior, "stages", ())):
        priors = list(getattr(stage, "priors", ()) or ())
        if len(priors) != len(separator.sources):
            continue
        pairs = zip(separator.sources, priors, strict=True)
        found = {source: prior for source, prior in pairs if prior.has_log_prob and prior.domain == "wave"}
        if found:
            return found
    return {}
