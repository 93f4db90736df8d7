"""Models on disk, found by name and listed; nothing is loaded, and TensorFlow is not imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfsep.bundled import bundled_folder
from tfsep.errors import InputError, JobError
from tfsep.models.schema import MODEL_FILE, ModelDescription, read_description
from tfsep.signatures import did_you_mean

#: The variable of the environment that names another folder of models.
MODELS_VARIABLE = "TFSEP_MODELS"
_SHOWN = 200  # letters of a name in a message


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it; ``str`` gives one line.

    Attributes:
        name: under which it is loaded.
        sources: in the order of the source axis.
        sample_rate: Hz.
        posteriors: kinds of its posteriors, the default first.
        megabytes: size of all weights on disk, in units of 10^6 bytes.
        folder: where it is.
    """

    name: str
    sources: tuple[str, ...]
    sample_rate: int
    posteriors: tuple[str, ...]
    megabytes: float
    folder: Path

    def __str__(self) -> str:
        """Return "NAME: SOURCES; RATE Hz; SIZE MB"."""
        return f"{self.name}: {', '.join(self.sources)}; {self.sample_rate} Hz; {self.megabytes:.1f} MB"


def models_folder() -> Path:
    """Return where models are found by name: $TFSEP_MODELS, or the folder of the bundled ones."""
    return Path(os.environ.get(MODELS_VARIABLE) or bundled_folder("models"))


def model_names() -> list[str]:
    """Return the names of the models in :func:`models_folder`, sorted."""
    folder = models_folder()
    return sorted(path.parent.name for path in folder.glob(f"*/{MODEL_FILE}")) if _is(Path.is_dir, folder) else []


def list_models() -> list[ModelInfo]:
    """Return what is known of each model in :func:`models_folder`, sorted by name.

    Raises:
        InputError: if the description of one of them is not sound.
        JobError: if $TFSEP_MODELS names no folder.
    """
    refuse_absent_folder()
    return [model_info(name) for name in model_names()]


def refuse_absent_folder() -> None:
    """Check that there is a :func:`models_folder`.

    Raises:
        JobError: if there is none.
    """
    if not _is(Path.is_dir, models_folder()):
        raise JobError(f"{MODELS_VARIABLE} must name a folder of models, got {str(models_folder())[:_SHOWN]!r}")


def model_info(name: str) -> ModelInfo:
    """Return what is known of one model in :func:`models_folder`.

    Raises:
        InputError: if its description is not sound.
    """
    folder = models_folder() / name
    description = read_description(folder / MODEL_FILE)
    return ModelInfo(
        name=folder.name,
        sources=tuple(description["sources"]),
        sample_rate=description["sample_rate"],
        posteriors=tuple(entry["kind"] for entry in description["posteriors"]),
        megabytes=round(sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e6, 1),
        folder=folder,
    )


def find_model(name: str | Path) -> Path:
    """Return the folder of a model given by name or by path.

    Raises:
        InputError: if there is none, listing the names there are, or what is given can be neither.
    """
    if not isinstance(name, str | os.PathLike):
        raise InputError(f"a model must be given as a name or a folder, got {str(name)[:_SHOWN]!r}")
    for folder in (Path(name), models_folder() / str(name)):
        if _is(Path.is_file, folder / MODEL_FILE):
            return folder
    names, given = model_names(), str(name)[:_SHOWN]
    where = "" if _is(Path.is_dir, models_folder()) else f" ({MODELS_VARIABLE} names no folder)"
    raise InputError(
        f"no model {given!r}: neither a folder with a {MODEL_FILE} nor one of the models "
        f"{', '.join(names) or 'none'}{where}{did_you_mean(given, names)}"
    )


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Return whether there is a path of a kind; one that cannot be looked at, as its name is too long, is not."""
    try:
        return kind(path)
    except OSError:
        return False


def label(folder: Path) -> str:
    """Return what a model in this folder is called: the folder's name, that of the run for ``<run>/model``."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "model" else folder.name


def describe(name: str | Path) -> ModelDescription:
    """Return the contents of a model's ``model.json``.

    Raises:
        InputError: if there is no such model, or its description is not one that this version
            understands.
    """
    return read_description(find_model(name) / MODEL_FILE)
