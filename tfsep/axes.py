"""The shape vocabulary: six words that every docstring and error message uses for an axis, and always in this order.

A shape is written as a tuple of these words, ``(batch, source, time)``; ``...`` stands for any
leading axes, and a number for an axis of that length, ``(batch, time, 1)``. Counts have the names
``num_sources``, ``num_frames``, ``num_bins``; lengths on the time axis are in samples of
``sample_rate`` Hz unless a name says ``seconds``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import tensorflow as tf

#: Independent examples: excerpts, songs, chains, restarts.
BATCH = "batch"
#: The N sources of one mixture, in the order of a model's ``sources``.
SOURCE = "source"
#: Channels of a sound file: 1 is mono, 2 is left and right.
CHANNEL = "channel"
#: Samples of a waveform, full scale being 1.
TIME = "time"
#: Columns of a spectrogram, ``frame_step`` samples apart.
FRAME = "frame"
#: Rows of a spectrogram: frequencies k * sample_rate / fft_length Hz, or mel bands.
BIN = "bin"

Layout: TypeAlias = tuple[str, ...]

#: The one order of axes; every layout below keeps it.
ORDER: Layout = (BATCH, SOURCE, CHANNEL, TIME, FRAME, BIN)

#: A sound file in memory.
SOUND: Layout = (CHANNEL, TIME)
#: A batch of mono excerpts: what a mixture is to a posterior.
WAVES: Layout = (BATCH, TIME)
#: Their sources: what a posterior returns, and what mixing adds up.
SOURCES: Layout = (BATCH, SOURCE, TIME)
#: The transform of a batch of excerpts.
SPECTROGRAMS: Layout = (BATCH, FRAME, BIN)

#: Samples on the host, in the layout that the docstring names.
FloatArray: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]

#: Tensors by what they hold. Aliases are strings, so that importing this module does not import TensorFlow.
#: Waveforms (batch, time).
Waves: TypeAlias = "tf.Tensor"
#: Sources of mixtures (batch, source, time).
Sources: TypeAlias = "tf.Tensor"
#: What a prior is a density of, (batch,) + event_shape.
Events: TypeAlias = "tf.Tensor"
#: Log-densities or log-determinants (batch,), in nats.
Nats: TypeAlias = "tf.Tensor"
#: A noise level, (), (batch,) or a number.
Sigma: TypeAlias = "tf.Tensor | npt.NDArray[np.floating] | float"
#: A seed of stateless random numbers: two int32, or (batch, 2), one for each row.
Seed: TypeAlias = "tf.Tensor | npt.NDArray[np.integer] | Sequence[int]"
#: What ``tf.convert_to_tensor`` takes.
TensorLike: TypeAlias = "tf.Tensor | npt.NDArray[np.generic] | Sequence[float] | float"
#: Settings of a part by name.
Settings: TypeAlias = Mapping[str, object]
