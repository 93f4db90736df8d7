"""A model as a function: waveform in, stems out, at any sample rate and length."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import tensorflow as tf

from tfsep.arguments import whole_number
from tfsep.audio import files
from tfsep.axes import TensorLike
from tfsep.errors import InputError
from tfsep.models import store
from tfsep.posteriors.base import Posterior
from tfsep.runtime.graph_memory import bytes_held
from tfsep.runtime.stateless_random import fold
from tfsep.separation import arguments
from tfsep.separation import segments as segmenting
from tfsep.separation.file import separate_to_folder
from tfsep.separation.level import SILENT_LEVEL, level_scale
from tfsep.separation.names import plain_name
from tfsep.separation.settings import EACH, SeparatorSettings, stereo_mode
from tfsep.separation.stem_files import StemFolder, StemFormat, StemLayout
from tfsep.separation.stream import Plan, Program, separate_blocks

_BLOCK_FRAMES = 1 << 17
_BUDGET, _LARGEST_CHUNK = 2.0, 256
_MOST_BUDGETS = 8.0  # that the draws of one segment may take, by a bound that is rarely reached
_TRACED = 64  # draws up to which a graph is traced before it is known whether they fit
_LOG = logging.getLogger(__name__)


class Separator:
    """A loaded model that separates waveforms and files; its compiled program is reused by every call.

    Args:
        model: as :func:`tfsep.models.store.load_model` returns it. Of its settings, ``overlap``,
            ``stereo``, ``normalise`` and ``level`` are those of
            :class:`tfsep.separation.settings.SeparatorSettings`.
        overlap: takes the place of the model's.
        memory: budget in GB, from which the number of segments separated at once follows: the
            largest power of two whose bound (:mod:`tfsep.runtime.graph_memory`) keeps to it, at
            most 256. None is 2 GB, and at most 8 segments. Draws do not depend on it, but it bounds
            their number (:meth:`check_samples`).
        chunk_size: that number itself, a power of two; of ``memory`` follows only how many draws
            there may be.
        stereo: takes the place of the model's.

    Raises:
        InputError: for an overlap outside 0..0.9, a budget that is not positive, or an unknown
            ``stereo``.
        ValueError: for a ``chunk_size`` that is no power of two.
    """

    def __init__(
        self,
        model: store.Model,
        overlap: float | None = None,
        memory: float | None = None,
        chunk_size: int | None = None,
        stereo: str | None = None,
    ) -> None:
        """Check the settings; nothing is compiled before the first call."""
        self.model = model
        self.name: str = model.name
        self.sources: tuple[str, ...] = tuple(model.sources)
        self.sample_rate: int = int(model.sample_rate)
        self.segment: int = int(model.segment)
        self.gains: tuple[float, ...] = tuple(model.gains)
        settings = SeparatorSettings.of_model(model.settings, overlap, memory, stereo)
        self.normalise: bool = settings.normalise
        self.level: float = settings.level
        self.hop: int = segmenting.default_hop(self.segment, settings.overlap)
        self.memory, self._chunk_size = memory, chunk_size and segmenting.chunk_sizes(chunk_size)[-1]
        self.stereo = settings.stereo
        self._compiled: dict[int, tf.types.experimental.PolymorphicFunction] = {}
        self._chunk_sizes: dict[int, int] = {}
        self._bounds: dict[int, int] = {}

    def __repr__(self) -> str:
        """Return two lines: the model with its sources and rate, and how it is applied."""
        posterior = self.model.posterior
        kind = posterior.describe() if hasattr(posterior, "describe") else type(posterior).__name__
        return (
            f"<Separator {self.name!r}: {', '.join(self.sources)} at {self.sample_rate} Hz,\n"
            f" posterior {kind!r}, segments of {self.segment / self.sample_rate:.3g} s, "
            f"overlap {1.0 - self.hop / self.segment:.2g}>"
        )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse pickle and copy, which would lose the compiled programs.

        Raises:
            TypeError: always; it says what to do instead.
        """
        raise TypeError(
            f"a Separator cannot be pickled or copied: call Separator.load({self.name!r}) where it is needed, "
            "in each process once, or share this one"
        )

    @classmethod
    def load(
        cls,
        name: str,
        posterior: str | None = None,
        priors: Mapping[str, str] | None = None,
        steps: int | None = None,
        overlap: float | None = None,
        segment: float | None = None,
        memory: float | None = None,
        stereo: str | None = None,
        silence: float | None = None,
        without: Sequence[str] = (),
    ) -> Separator:
        """Load a bundled model by name, or a model folder.

        Args:
            name: a name under ``models/``, or a folder.
            posterior: the kind of posterior, where the model offers several; "full" is its
                composition.
            priors: {source: folder of its prior}, in place of the model's own.
            steps: of the posterior's iteration, where it has one.
            overlap: part of a segment shared with the next one, 0..0.9.
            segment: length of a segment in seconds in place of the model's, where its posterior
                allows another.
            memory: budget in GB, above 0, by which segments are separated at once; None is 2 GB, and at
                most 8 segments.
            stereo: how the channels of a song are separated ("each", "mid_side" or "wiener"), in
                place of the model's.
            silence: how likely each source is absent, from 0 to below 1, for samplers by priors
                with a density.
            without: sources of the model that the mixtures certainly do not have.

        Raises:
            InputError: if there is no such model, its folder is not sound, or an argument does not
                suit it.
        """
        model = store.load_model(
            name, posterior=posterior, priors=priors, steps=steps, segment=segment, silence=silence, without=without
        )
        return cls(model, overlap=overlap, memory=memory, stereo=stereo)

    def __call__(
        self, waveform: TensorLike, sample_rate: int | None = None, num_samples: int = 1, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Separate one waveform.

        Args:
            waveform: (time,) or (channels, time), linear samples, finite; channels of one song.
            sample_rate: of the waveform, 1,000 to 384,000 Hz; None is the model's.
            num_samples: posterior samples.
            seed: 0..2^31 - 1; the same seed gives the same stems.

        Returns:
            {source: stem}, float32 of the waveform's shape, led by (num_samples,) where that is
            above 1. The stems are at mixture scale: their sum is the waveform.

        Raises:
            InputError: if an argument is out of range, more samples are asked for than fit the memory
                budget, or the waveform is not finite.
        """
        waveform = arguments.finite_waveform(waveform)
        arguments.check_channels(waveform)
        num_samples = self.check_samples(num_samples)
        rate = self.sample_rate if sample_rate is None else arguments.rate(sample_rate)
        channels = waveform[np.newaxis] if waveform.ndim == 1 else waveform
        scale = self.level_scale([channels]) if self.normalise else 1.0
        stems = self._gather(channels, rate, num_samples, seed, scale, self.stereo)
        stems = stems.reshape(*stems.shape[:2], *waveform.shape)
        return {name: stems[0, k] if num_samples == 1 else stems[:, k] for k, name in enumerate(self.sources)}

    def separate_file(
        self,
        path: str | Path,
        output: str | Path = "separated",
        num_samples: int = 1,
        seed: int = 0,
        start: float = 0.0,
        duration: float | None = None,
        format: str = "wav",
        bits: str | None = None,
        clip_mode: str = "rescale",
        overwrite: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> dict[str, Path]:
        """Separate a sound file of any length, rate and channel count, in memory that does not grow with it.

        The stems are ``output/TRACK/SOURCE.wav``, where TRACK is the file's name without suffix.
        They have the file's rate and channels; as floats (wav's default) they sum to the mixture.
        They appear together when all are complete, or not at all.

        Args:
            path: a sound file that :mod:`tfsep.audio.files` reads.
            output: folder, created if absent.
            num_samples: posterior samples; above 1 a stem is their mean, and SOURCE_sample1 and so
                on are written too.
            seed: 0..2^31 - 1; the same seed gives the same stems.
            start: of the part to separate, seconds.
            duration: of the part to separate, seconds; None is up to the end.
            format: "wav", "flac", "ogg" or "mp3".
            bits: "16", "24" or "32f" (floats, wav only); None is "32f" for wav and "24" for flac.
            clip_mode: "rescale", "clamp" or "none", where a stem exceeds full scale
                (:class:`tfsep.separation.stem_files.StemFormat`).
            overwrite: replace stems that are there already.
            progress: is called with the number of frames of each finished block.

        Returns:
            {source: path of its stem}, and the samples by their own names.

        Raises:
            InputError: for an argument out of range.
            JobError: if the file cannot be read, or the stems cannot be written or are there
                already.
        """
        path = Path(path)
        layout = StemLayout(self.sources, self.check_samples(num_samples))
        stem_format = StemFormat(format, bits, clip_mode)
        info = files.info(path)
        folder = Path(output) / plain_name(path.stem)
        with StemFolder(folder, layout.names(), info.sample_rate, info.channels, stem_format, overwrite) as stems:
            separate_to_folder(self, path, stems, layout, num_samples, seed, start, duration, info, progress)
        return dict(zip(layout.names(), stems.paths, strict=True))

    def separate_batch(self, mixtures: TensorLike, num_samples: int = 1, seed: int | Sequence[int] = 0) -> np.ndarray:
        """Separate unrelated waveforms of one length at the model's rate.

        Args:
            mixtures: (batch, time), linear samples, finite.
            num_samples: posterior samples.
            seed: 0..2^31 - 1, one for all or one for each; a waveform has the same stems in any batch.

        Returns:
            (num_samples, batch, source, time) float32 at mixture scale.

        Raises:
            InputError: for another shape, samples that are not finite, or ``num_samples`` or
                ``seed`` out of range.
        """
        mixtures = arguments.finite_waveform(mixtures)
        if mixtures.ndim != 2:
            raise InputError(f"a batch of mixtures must be (batch, time), got shape {mixtures.shape}")
        scale = self.level_scales(mixtures).numpy() if self.normalise else 1.0
        stems = self._gather(mixtures, self.sample_rate, num_samples, seed, scale)
        return np.moveaxis(stems, 1, 2)

    def stream(
        self,
        blocks: Iterable[np.ndarray],
        sample_rate: int,
        channels: int,
        num_samples: int = 1,
        seed: int | Sequence[int] = 0,
        scale: np.ndarray | float = 1.0,
        stereo: str | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Separate blocks as they arrive; see :func:`tfsep.separation.stream.separate_blocks`.

        Args:
            blocks: of the mixture, (channels, time) float32, of any lengths.
            sample_rate: Hz, of the blocks and of the stems.
            channels: how many.
            num_samples: independent posterior samples, at least 1.
            seed: 0..2^31 - 1, one for all channels or one for each.
            scale: what the mixture is multiplied by for the model, and the stems divided by; one
                or, with ``stereo`` "each", (channels, 1).
            stereo: in place of the model's; "each" where channels are unrelated.

        Returns:
            Pairs of the mixture (channels, time) and its stems (num_samples, source, channels,
            time).

        Raises:
            InputError: for ``num_samples`` or ``seed`` out of range.
        """
        num_samples = self.check_samples(num_samples)
        seeds = arguments.seed_pairs(seed, channels)
        sample_rate = arguments.rate(sample_rate)
        program, chunk_size = self._program(num_samples, seeds), self.chunk_size(num_samples)
        mode = self.stereo if stereo is None else stereo_mode(stereo)
        plan = Plan(self.sample_rate, self.segment, self.hop, self.gains, num_samples, chunk_size, mode)
        return separate_blocks(program, plan, blocks, sample_rate, channels, scale)

    def chunk_size(self, num_samples: int = 1) -> int:
        """Return how many segments are separated at once: a power of two, by the budget."""
        if self._chunk_size:
            return self._chunk_size
        if num_samples not in self._chunk_sizes:
            self._chunk_sizes[num_samples] = self._within_budget(num_samples)
        return self._chunk_sizes[num_samples]

    def check_samples(self, num_samples: object) -> int:
        """Return a number of posterior samples whose draws of one segment do not exceed the budget by far.

        The budget bounds how many segments are separated at once. The draws of a single one may take
        8 times as much, with a warning; one sample is never refused.

        Raises:
            InputError: if they take more, naming the largest number that does not, or it is no number of samples.
        """
        number = whole_number("num_samples", num_samples, 1)
        most = self.most_samples(number, _MOST_BUDGETS)
        if most < number:
            raise InputError(
                f"num_samples must be at most {most} for {self.name!r}, as the draws of one segment must fit "
                f"{_MOST_BUDGETS:g} times the memory budget of {self._budget:g} GB, got {number}"
            )
        return number

    def most_samples(self, wanted: int, budgets: float = 1.0) -> int:
        """Return the largest number of posterior samples up to ``wanted`` that fits so many budgets, at least 1."""
        if wanted == 1 or self._fits(wanted, budgets):
            return wanted
        # Bounds grow at least in proportion to the draws, from two on; one sample may be searched for by more chains.
        fits, beyond = 1, min(wanted, int(2e9 * budgets * self._budget / self._bound(2)) + 1)
        guess = beyond - 1
        while beyond - fits > 1:
            if self._fits(guess, budgets):
                fits = guess
            else:
                beyond = guess
            guess = (fits + beyond) // 2
        return fits

    def _fits(self, num_samples: int, budgets: float) -> bool:
        """Tell whether the bound of one segment is within budgets; graphs of very many draws are not traced."""
        budget = 1e9 * budgets * self._budget
        if num_samples > _TRACED and num_samples / 2 * self._bound(2) > budget:
            return False
        return self._bound(num_samples) <= budget

    @property
    def _budget(self) -> float:
        """Return the budget in GB."""
        return _BUDGET if self.memory is None else self.memory

    def _bound(self, num_samples: int) -> int:
        """Return an upper bound on the bytes that one segment takes."""
        if num_samples not in self._bounds:
            posterior = self.model.posterior
            bound = posterior.memory(num_samples) if isinstance(posterior, Posterior) else None
            if bound is None:
                bound = bytes_held(self._graph(num_samples).get_concrete_function(), num_samples)
            self._bounds[num_samples] = max(bound, 1)
        return self._bounds[num_samples]

    def _within_budget(self, num_samples: int) -> int:
        """Return the largest chunk whose bound is within the budget; warn where not even one segment is."""
        bound, most = self._bound(num_samples), segmenting.CHUNK_SIZE if self.memory is None else _LARGEST_CHUNK
        if bound > 1e9 * self._budget:
            _LOG.warning("%s: a segment may take %.1f GB, over the budget of %g", self.name, bound / 1e9, self._budget)
        return segmenting.chunk_within(self._budget * 1e9 / bound, most)

    def level_scale(self, blocks: Iterable[np.ndarray]) -> float:
        """Return the factor that brings blocks (channels, time) to the model's level; 1 for silence."""
        return level_scale(blocks, self.level)

    def level_scales(self, mixtures: TensorLike) -> tf.Tensor:
        """Return the factor (batch, 1) that brings each waveform (batch, time) to the model's level; 1 for silence."""
        energy = tf.reduce_mean(tf.square(tf.convert_to_tensor(mixtures)), axis=-1, keepdims=True)
        root_mean_square = tf.sqrt(energy)
        audible = root_mean_square > SILENT_LEVEL
        return tf.where(audible, self.level / tf.where(audible, root_mean_square, 1.0), 1.0)

    def _gather(
        self,
        channels: np.ndarray,
        sample_rate: int,
        num_samples: int,
        seed: int | Sequence[int],
        scale: np.ndarray | float,
        stereo: str = EACH,
    ) -> np.ndarray:
        """Separate a whole array: (channels, time) -> (num_samples, source, channels, time)."""
        starts = range(0, channels.shape[1], _BLOCK_FRAMES)
        blocks = (channels[:, start : start + _BLOCK_FRAMES] for start in starts)
        separated = self.stream(blocks, sample_rate, len(channels), num_samples, seed, scale, stereo)
        return np.concatenate([stems for _, stems in separated], axis=-1)

    def _graph(self, num_samples: int) -> tf.types.experimental.PolymorphicFunction:
        """Return the separation of a chunk as a graph, which is traced once for each number of samples."""
        if num_samples not in self._compiled:
            segments_spec = tf.TensorSpec([None, self.segment], tf.float32)
            pairs_spec, numbers_spec = tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([None], tf.int32)

            def separate(segments: tf.Tensor, pairs: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
                seeds = fold(pairs, numbers)
                return segmenting.separate_chunk(self.model.posterior, segments, num_samples, seeds)

            signature = [segments_spec, pairs_spec, numbers_spec]
            self._compiled[num_samples] = tf.function(separate, input_signature=signature, autograph=False)
        return self._compiled[num_samples]

    def _program(self, num_samples: int, seeds: np.ndarray) -> Program:
        """Return the compiled separation of a chunk, by seeds of the channels (channels, 2) int32.

        A posterior that compiles its loop by XLA, or reports its progress, is called outside this
        graph, where it has its own programs.
        """
        graph = self._graph(num_samples)
        posterior = self.model.posterior

        def program(segments: np.ndarray, places: np.ndarray) -> np.ndarray:
            alone = isinstance(posterior, Posterior) and (
                posterior.reports() or posterior.compiles(num_samples, len(segments))
            )
            function = graph.python_function if alone else graph
            stems: np.ndarray = function(
                tf.constant(segments), tf.constant(seeds[places[:, 0]]), tf.constant(places[:, 1])
            ).numpy()
            return stems

        return program
