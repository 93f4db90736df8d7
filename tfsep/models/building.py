"""Build a part of a model folder: whatever its settings are, it is built or refused in one line."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from tfsep.errors import InputError
from tfsep.models import weights
from tfsep.models.listing import describe
from tfsep.models.rules import MAX_NUMBER
from tfsep.models.schema import MODEL_FILE

# Each unit of these has weights of its own, so that a part has no more of them than stored numbers.
_SIZES = ("width", "local_width", "kernel_size", "num_bins")
_COUNTS = ("num_levels", "num_steps", "num_layers", "num_blocks", "local_layers")
_SHOWN = 200


def build_part(
    build: Callable[..., Any], settings: Mapping[str, Any], folder: Path, what: str, file: str | None
) -> Any:
    """Build a prior or a posterior from the settings in a model's description.

    Args:
        build: of the registry.
        settings: its arguments.
        folder: of the model.
        what: the part, for messages.
        file: its weights, None where it has none.

    Raises:
        InputError: for settings that cannot be built, or a part that needs weights and has none.
    """
    where = f"{folder / MODEL_FILE}: {what}"
    if file is not None and not (path := weights_path(folder, file)).is_file():
        raise InputError(f"{path}: the weights of this model are missing")
    _check_sizes(settings, where, None if file is None else weights.num_values(weights_path(folder, file)))
    try:
        built = build(**settings)
    except InputError:
        raise
    except Exception as error:  # the settings of a file may break a constructor in any way
        reason = " ".join((str(error) or type(error).__name__).split())[:_SHOWN]
        raise InputError(f"{where}: {reason}") from error
    if file is None and isinstance(built, keras.Model) and built.weights:
        raise InputError(f"{where}: a learned part needs weights, got none")
    return built


def weights_path(folder: Path, file: str) -> Path:
    """Return where the weights of a model lie.

    Raises:
        InputError: if a link leads out of the folder.
    """
    path = folder / file
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"{path}: weights must lie in the folder of their model, got a link to elsewhere")
    return path


def digests(folder: Path) -> dict[Path, str] | None:
    """Return the SHA-256 of a model's weights files by their paths, None for a model without a manifest."""
    manifest = describe(folder).get("manifest")
    return None if manifest is None else {folder / file: digest for file, digest in manifest.items()}


def _check_sizes(settings: Mapping[str, Any], where: str, num_values: int | None) -> None:
    """Refuse counts that would take for ever to build, before anything is built.

    Raises:
        InputError: for a count beyond its bound.
    """
    found = list(_whole_numbers(settings))
    for name, value in found:
        if name.startswith("num_") and value > MAX_NUMBER:
            raise InputError(f"{where}: {name} must be at most {MAX_NUMBER}, got {value}")
        if num_values is not None and name in _SIZES and value > num_values:
            raise InputError(f"{where}: {name} must be at most the {num_values} bytes of its weights, got {value}")
    blocks = math.prod(value for name, value in found if name in _COUNTS and value > 0)
    if num_values is not None and blocks > num_values:
        names = ", ".join(name for name, _ in found if name in _COUNTS)
        raise InputError(f"{where}: {names} ask for {blocks} blocks, more than the {num_values} bytes of its weights")


def _whole_numbers(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield names and values of whole numbers, those in lists and in nested settings included."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _whole_numbers(value)
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, int) and not isinstance(each, bool):
                yield name, each
