"""A model that is loaded again and again: the same names every time, and no more memory."""

from __future__ import annotations

import subprocess
import sys

import keras
import pytest

from tfsep.models import store

# Growth of what is resident, without what the allocator may give back at any time.
GROWTH = """
import ctypes, gc, tfsep
def resident():
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(open("/proc/self/statm").read().split()[1]) * 4096
sizes = []
for _ in range(21):
    tfsep.Separator.load("toy")
    sizes.append(resident())
print(max(sizes[5:]) - sizes[5])
"""


def names_of(name: str) -> list[str]:
    posterior = store.load_model(name).posterior
    layers = posterior._flatten_layers() if isinstance(posterior, keras.Model) else []
    parts = [layer.name for layer in layers]
    return parts + [variable.path for prior in (store.load_prior(name, "sine"),) for variable in prior.variables]


def test_a_model_loaded_twice_has_the_same_names_twice() -> None:
    first = names_of("toy-free")
    keras.layers.Dense(3).build((None, 2))
    assert names_of("toy-free") == first and len(first) > 2


def test_names_outside_go_on_as_before() -> None:
    before = keras.layers.Dense(3).name
    store.load_prior("toy-free", "sine")
    assert keras.layers.Dense(3).name != before


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_twenty_loads_take_the_memory_of_five() -> None:
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, timeout=600, check=True)
    assert int(done.stdout) < 20e6
