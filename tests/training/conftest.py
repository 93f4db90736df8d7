"""Gives the tests of training the small task of gaussian.py, which one of them also runs as a script."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import tensorflow as tf

SCRIPT = Path(__file__).with_name("gaussian.py")


@pytest.fixture(scope="session")
def gaussian() -> ModuleType:
    """The module gaussian.py."""
    spec = importlib.util.spec_from_file_location("gaussian_for_tests", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def mirrored(two_cpus: list[str]) -> tf.distribute.Strategy:
    """Two replicas; reduced on one device, since collective reductions mix up the strategies of one process."""
    return tf.distribute.MirroredStrategy(two_cpus, cross_device_ops=tf.distribute.ReductionToOneDevice())
