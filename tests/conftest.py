"""What every test stands on: few threads, two logical CPU devices, and the stems to develop with where they are.

The variables are set before anything imports TensorFlow, and the commands that tests start inherit
them. With ``TFSEP_HIDE_PROGRAMS=1`` the tests run as on a machine without the programs and packages
that tfsep can do without.
"""

from __future__ import annotations

import gc
import os
import runpy
import shutil
import signal
import sys
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
PROGRAMS = ("ffmpeg", "ffprobe", "fluidsynth", "chromium", "chromedriver", "cc", "gcc", "clang")
HIDING = REPOSITORY / "tests" / "hidden_programs"
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")

# Alone a test may use two cores; beside other xdist workers one, or they would fight over the same cores.
THREADS = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"
for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, THREADS)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def path_without(programs: tuple[str, ...], path: str, links: Path) -> str:
    """Return a search path on which the programs are not found and all others are.

    A folder of ``path`` that holds one of the programs is replaced by a folder of links to the rest
    of it, made in ``links``.
    """
    folders = []
    for number, folder in enumerate(path.split(os.pathsep)):
        if any(shutil.which(program, path=folder) for program in programs):
            replaced = links / str(number)
            replaced.mkdir(parents=True)
            for file in Path(folder).iterdir():
                if file.name not in programs:
                    (replaced / file.name).symlink_to(file.resolve())
            folder = str(replaced)
        folders.append(folder)
    return os.pathsep.join(folders)


def hide_programs() -> None:
    """Hide the optional programs and packages from this process and from those that it starts."""
    links = tempfile.TemporaryDirectory(prefix="tfsep-programs-")
    _kept.append(links)
    os.environ["PATH"] = path_without(PROGRAMS, os.environ["PATH"], Path(links.name))
    places = [str(HIDING), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(place for place in places if place))
    runpy.run_path(str(HIDING / "sitecustomize.py"))


_kept: list[tempfile.TemporaryDirectory[str]] = []  # A folder lasts as long as its object.
HIDDEN = os.environ.get("TFSEP_HIDE_PROGRAMS", "") not in ("", "0")
if HIDDEN:
    hide_programs()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a long check, run by `make test-all` only")
    config.addinivalue_line("markers", "smoke: the fastest run from end to end, run alone by `make smoke`")
    config.addinivalue_line("markers", "programs: touches programs or packages that tfsep can do without")
    receive_signals()


def receive_signals() -> None:
    """Bring back the usual handlers of signals that a shell told its background jobs to ignore."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, handler)


def pytest_report_header() -> str | None:
    """Say when programs are hidden."""
    return f"hidden: {', '.join(PROGRAMS)}, the soundfont and optional packages" if HIDDEN else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Split the CPU in two logical devices, once the test modules have imported TensorFlow and before it runs."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        two_logical_devices(tensorflow)
    # Garbage collections need not look through what has been imported, a million objects with TensorFlow.
    gc.collect()
    gc.freeze()


def two_logical_devices(tensorflow: Any) -> None:
    cpu = tensorflow.config.list_physical_devices("CPU")[0]
    one = tensorflow.config.LogicalDeviceConfiguration()
    tensorflow.config.set_logical_device_configuration(cpu, [one, one])


def pytest_runtest_call(item: pytest.Item) -> None:
    """Draw the weights of a test's networks from a seed of its own: no test fails in some runs only."""
    seed(item.nodeid)


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Do the same for what several tests share, whichever of them asks first."""
    if fixturedef.scope != "function":
        seed(f"{fixturedef.argname} {request.param_index}")


def seed(name: str) -> None:
    """Set the seeds of every random number generator from a name, once a test module has imported TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        tensorflow.keras.utils.set_random_seed(zlib.crc32(name.encode()))


@pytest.fixture(scope="session")
def two_cpus() -> list[str]:
    """The names of two logical CPU devices for a strategy; the test's module imports TensorFlow at its top."""
    import tensorflow as tf

    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    assert len(names) == 2, "import tensorflow at the top of the test module, and run nothing while it is imported"
    return names


@pytest.fixture(scope="session")
def gradient_of_convolutions() -> None:
    """A test that asks for it skips where TensorFlow's kernels have no gradient of a dilated convolution."""
    from tfsep.networks import dilated

    if dilated.device() == "CPU without oneDNN":
        pytest.skip("the kernels of this processor have no gradient of a dilated convolution")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of stems beside the clone; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the stems to develop with (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def soundfont() -> Path:
    """A General MIDI soundfont; a test that asks for it skips where it or fluidsynth is not installed."""
    if HIDDEN or shutil.which("fluidsynth") is None or not SOUNDFONT.is_file():
        pytest.skip("needs fluidsynth and a soundfont (Debian: fluidsynth, timgm6mb-soundfont)")
    return SOUNDFONT
