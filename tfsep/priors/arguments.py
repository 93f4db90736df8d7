"""What callers may give every kind of prior: real events and noise levels, whole counts and seeds.

:class:`tfsep.priors.base.Prior` has each method that a kind defines checked by the names of its
parameters. Of tensors in a graph that is being traced only types and shapes are known.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.arguments import whole_number
from tfsep.errors import InputError

#: Methods of a prior that are checked.
METHODS = (
    "log_prob",
    "training_terms",
    "denoising_terms",
    "score",
    "sample",
    "denoise",
    "posterior_sample",
    "directions",
    "denoise_beside",
    "encode",
    "decode",
)
_EVENTS = ("x", "y", "z", "beside")
_LOWEST_SEED, _HIGHEST_SEED = -(2**31), 2**32 - 1


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a prior that refuses wrong arguments with an InputError before it is called."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            given = {}  # The call itself says what is missing.
        for name, value in given.items():
            if name in _EVENTS:
                check_real(name, value)
            elif name == "sigma" and value is not None:
                check_real(name, value)
            elif name == "num":
                check_count(value)
            elif name == "seed":
                check_seed(value, of_rows=method.__name__ == "posterior_sample")
        return method(*args, **kwargs)

    return call


def check_real(name: str, values: object) -> None:
    """Refuse what is no array of real numbers.

    Raises:
        InputError: for complex numbers, text, uneven lists and other objects.
    """
    if isinstance(values, tf.RaggedTensor | tf.SparseTensor):
        raise InputError(f"{name} must be an array of real numbers, got a {type(values).__name__}")
    dtype = _dtype_of(name, values)
    if dtype is None or not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        got = type(values).__name__ if dtype is None or dtype == tf.string else dtype.name
        raise InputError(f"{name} must be an array of real numbers, got the type {got}")


def check_count(num: object) -> None:
    """Refuse a number of events that is no whole number from 1 to 2^31 - 1.

    Raises:
        InputError: for anything else.
    """
    if _is_symbolic(num):
        if not num.dtype.is_integer:  # type: ignore[attr-defined]  # a tensor
            raise InputError(f"num must be a whole number, got the type {num.dtype.name}")  # type: ignore[attr-defined]
    else:
        whole_number("num", num, 1)


def check_seed(seed: object, of_rows: bool) -> None:
    """Refuse a seed that is not two whole numbers or, where ``of_rows``, (batch, 2) of them.

    Raises:
        InputError: for anything else, or a number outside -2^31..2^32 - 1.
    """
    rule = f"seed must be two whole numbers in {_LOWEST_SEED}..{_HIGHEST_SEED}"
    rule += ", or two for each event" if of_rows else ""
    try:
        dtype = _dtype_of("seed", seed)
    except InputError:
        dtype = None
    if dtype is None or not dtype.is_integer:
        raise InputError(f"{rule}, got {seed!r}")
    if _is_symbolic(seed) or isinstance(seed, Sequence) and any(map(_is_symbolic, seed)):
        return
    numbers = np.asarray(seed)
    ranks = (1, 2) if of_rows else (1,)
    if numbers.ndim not in ranks or numbers.shape[-1] != 2:
        raise InputError(f"{rule}, got {seed!r}")
    if numbers.size and not _LOWEST_SEED <= numbers.min() <= numbers.max() <= _HIGHEST_SEED:
        raise InputError(f"{rule}, got {seed!r}")


def _is_symbolic(value: object) -> bool:
    """Tell whether a value is a tensor whose numbers are not known yet."""
    return tf.is_tensor(value) and not hasattr(value, "numpy")


def _dtype_of(name: str, value: object) -> tf.DType | None:
    """Return the type of the numbers of a tensor, an array or a list; None where they have none in common.

    Raises:
        InputError: for lists that make up no array.
    """
    found = getattr(value, "dtype", None)
    if found is None and isinstance(value, Sequence) and not isinstance(value, str):
        found = next((each.dtype for each in value if tf.is_tensor(each)), None)
    if found is None:
        try:
            found = np.asarray(value).dtype
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{name} must be an array of real numbers, got uneven lists ({error})") from error
    try:
        return tf.as_dtype(found)
    except TypeError:
        return None
