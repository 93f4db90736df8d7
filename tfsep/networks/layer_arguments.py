"""The keyword arguments that every Keras layer takes beside its own."""

from __future__ import annotations

from typing import TypedDict

import keras


class LayerArguments(TypedDict, total=False):
    """Keyword arguments of :class:`keras.layers.Layer`.

    Attributes:
        name: of the layer; Keras makes one up where it is missing.
        dtype: dtype policy, such as "float32" or "mixed_bfloat16".
        trainable: whether its variables may be trained, True if missing.
    """

    name: str | None
    dtype: str | keras.DTypePolicy | None
    trainable: bool
