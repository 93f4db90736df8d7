"""What every test stands on: few threads, two logical CPU devices, and the stems to develop with where they are.

The variables are set before anything imports TensorFlow, and the commands that tests start inherit them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# Alone a test may use two cores; beside other xdist workers one, or they would fight over the same cores.
THREADS = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"
for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, THREADS)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a long check, run by `make test-all` only")
    config.addinivalue_line("markers", "smoke: the fastest way from end to end, run alone by `make smoke`")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Split the CPU in two logical devices, once the test modules have imported TensorFlow and before it runs."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        two_logical_devices(tensorflow)


def two_logical_devices(tensorflow: Any) -> None:
    cpu = tensorflow.config.list_physical_devices("CPU")[0]
    one = tensorflow.config.LogicalDeviceConfiguration()
    tensorflow.config.set_logical_device_configuration(cpu, [one, one])


@pytest.fixture(scope="session")
def two_cpus() -> list[str]:
    """The names of two logical CPU devices for a strategy; the test's module imports TensorFlow at its top."""
    import tensorflow as tf

    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    assert len(names) == 2, "import tensorflow at the top of the test module, and run nothing while it is imported"
    return names


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of stems beside the clone; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the stems to develop with (../shared/data) are not on this machine")
    return SHARED_DATA
