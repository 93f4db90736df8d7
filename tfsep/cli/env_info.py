"""What a bug report should say of a machine, and which models are bundled."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil

from tfsep import __version__
from tfsep.cli import runner

_LIBRARIES = ("tensorflow", "tensorflow-probability", "tf-keras", "keras", "numpy", "soundfile", "soxr", "librosa")


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
        from tfsep.models.listing import list_models

        for model in list_models():
            print(f"{model.name}: {', '.join(model.sources)}; {model.sample_rate} Hz")


def _version(library: str) -> str:
    """Return the version of an installed distribution, "none" where it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "none"
