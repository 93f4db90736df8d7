"""What a bug report should say of a machine, and which models are bundled."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import shutil

from tfsep import __version__
from tfsep.cli import runner
from tfsep.errors import InputError, JobError

_LIBRARIES = ("tensorflow", "tensorflow-probability", "tf-keras", "keras", "numpy", "soundfile", "soxr", "librosa")
_LOG = logging.getLogger(__name__)


def show(versions: bool, models: bool) -> None:
    """Print on stdout versions and devices as "name: value" lines, bundled models as "name: sources; rate", or both."""
    if versions:
        tensorflow = runner.start_tensorflow()
        print(f"tfsep: {__version__}")
        print(f"python: {platform.python_version()}")
        print(f"platform: {platform.platform()}")
        for library in _LIBRARIES:
            print(f"{library}: {_version(library)}")
        print(f"ffmpeg: {shutil.which('ffmpeg') or 'none'}")
        print(f"processors: {os.cpu_count()}")
        print(f"devices: {', '.join(device.name for device in tensorflow.config.list_physical_devices())}")
    if models:
        _show_models()


def _show_models() -> None:
    """Print a line for each model; one whose description is not sound is logged as an error.

    Raises:
        JobError: if there is no folder of models, or none in it.
    """
    from tfsep.models.listing import model_info, model_names, models_folder, refuse_absent_folder

    refuse_absent_folder()
    names = model_names()
    if not names:
        raise JobError(f"there is no model in {models_folder()}, the folder of models (TFSEP_MODELS)")
    for name in names:
        try:
            model = model_info(name)
        except InputError as error:
            _LOG.error("%s", error)
            continue
        print(f"{model.name}: {', '.join(model.sources)}; {model.sample_rate} Hz")


def _version(library: str) -> str:
    """Return the version of an installed distribution, "none" where it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "none"
