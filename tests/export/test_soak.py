"""Four clients at a server of its own process for a while: no error, and memory that does not grow.

``TFSEP_SOAK_SECONDS`` says how long, ``TFSEP_SOAK_MODEL`` which model.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tfsep
from tfsep.client import Client
from tfsep.export import saved_model

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("TFSEP_SOAK_SECONDS", "60"))
MODEL = os.environ.get("TFSEP_SOAK_MODEL", "songs")
CLIENTS, REQUEST_SECONDS, LARGEST_GROWTH = 4, 4.0, 0.02
REPOSITORY = Path(__file__).resolve().parents[2]


def resident(process: subprocess.Popen[str]) -> int:
    """Return the resident memory of a process in kB."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads resident memory from /proc")
def test_four_clients_for_a_while(tmp_path: Path) -> None:
    separator = tfsep.Separator.load(MODEL)
    folder = saved_model.export(separator, tmp_path)
    length = int(REQUEST_SECONDS * separator.sample_rate)
    command = [sys.executable, "-m", "tests.client.serving", str(folder)]
    server = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        times: list[float] = []
        errors: list[Exception] = []
        memory: list[tuple[float, int]] = []
        begin = time.monotonic()

        def ask(number: int) -> None:
            wave = np.random.default_rng(number).normal(0.0, 0.1, (1, length)).astype(np.float32)
            try:
                with Client(address, timeout=300.0) as client:
                    while time.monotonic() - begin < SECONDS:
                        before = time.monotonic()
                        found = client.predict("serving_default", {"waveform": wave})
                        times.append(time.monotonic() - before)
                        np.testing.assert_allclose(sum(found.values()), wave, atol=1e-5)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.append((time.monotonic() - begin, resident(server)))
            time.sleep(SECONDS / 50)
        for thread in threads:
            thread.join()
    finally:
        server.communicate()
    # Buffers are made in the first fifth.
    settled = [kilobytes for second, kilobytes in memory if second > SECONDS / 5]
    half = len(settled) // 2
    growth = np.median(settled[half:]) / np.median(settled[:half]) - 1.0
    print(
        f"\n{MODEL}, {CLIENTS} clients for {SECONDS:.0f} s: {len(times)} requests of {REQUEST_SECONDS:g} s, "
        f"median {np.median(times):.2f} s, longest {max(times):.2f} s, {len(errors)} errors, "
        f"{settled[-1] / 1000:.0f} MB resident, which grew by {100 * growth:.2f} %"
    )
    assert not errors, errors[0]
    assert growth < LARGEST_GROWTH
