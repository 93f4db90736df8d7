"""A headless Chromium behind its driver, and small tracks on disk to make pages of."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.signals import write_wave
from tfsep.report.track_files import StemFiles, TrackFiles

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_STARTED = "started successfully on port "


class Browser:
    """One session of the WebDriver protocol: https://www.w3.org/TR/webdriver2/."""

    def __init__(self, port: int, profile: Path) -> None:
        self._base = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": shutil.which("chromium"),
            "args": [*FLAGS, f"--user-data-dir={profile}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        answer = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/{answer['sessionId']}"

    def open(self, page: Path, width: int = 1200, height: int = 900) -> None:
        """Load a file in a window of a size; a width that no window has is that of an emulated phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.devtools("Emulation.setDeviceMetricsOverride", size)
        self._call("POST", "/url", {"url": page.resolve().as_uri()})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def click(self, selector: str) -> None:
        """Click an element as a hand would: it is scrolled to, and must not lie under another."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[_ELEMENT]}/click", {})

    def press(self, selector: str, keys: str) -> None:
        """Type into an element."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[_ELEMENT]}/value", {"text": keys})

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self._call("POST", "/execute/sync", {"script": f"return {expression};", "args": []})

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true, for as long as the driver allows scripts to take (30 seconds)."""
        look = f"(function look() {{ ({expression}) ? done(true) : setTimeout(look, 20); }})();"
        script = f"const done = arguments[0]; {look}"
        return self._call("POST", "/execute/async", {"script": script, "args": []})

    def log(self, kind: str = "browser") -> list[str]:
        """Return the messages of the console, or of the network ("performance"), since the last call."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": kind})]

    def screenshot(self, file: Path, whole: bool = True) -> None:
        """Take a picture of the page, all of it or the visible part."""
        answer = self.devtools("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        file.write_bytes(base64.b64decode(answer["data"]))

    def quit(self) -> None:
        self._call("DELETE", "", None)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:600]}") from error


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a headless Chromium; a test of it skips where Chromium or its driver is absent."""
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("no chromium and chromedriver on this machine (Debian: chromium, chromium-driver)")
    command = [driver, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if _STARTED in line)
            session = Browser(int(line.rpartition(" ")[2].rstrip(".\n")), tmp_path_factory.mktemp("profile"))
            yield session
            session.quit()
        finally:
            process.terminate()


Make = Callable[..., TrackFiles]


@pytest.fixture
def make_track(tmp_path: Path) -> Make:
    """Write a track of tones and describe it: a mixture, its stems, perhaps samples and references of these."""

    def make(
        seconds: float = 2.0, rate: int = 8000, channels: int = 2, num_samples: int = 1, references: bool = False
    ) -> TrackFiles:
        frames = round(seconds * rate)
        time = np.arange(frames) / rate
        low, high = (
            np.repeat(peak * np.sin(2.0 * np.pi * hertz * time)[np.newaxis], channels, axis=0)
            for peak, hertz in ((0.3, 220.0), (0.1, 1760.0))
        )
        # A fortieth of the low tone leaks; samples differ in the second half alone.
        noise = np.random.default_rng(0).normal(0.0, 0.01, (num_samples, channels, frames)) * (time >= seconds / 2.0)
        drawn = {"low": 0.975 * low + (num_samples > 1) * noise, "high": high + 0.025 * low - (num_samples > 1) * noise}
        write_wave(tmp_path / "mixture.wav", low + high, rate)
        stems = []
        for name, truth in (("low", low), ("high", high)):
            each = drawn[name] if num_samples > 1 else ()
            samples = tuple(
                write_wave(tmp_path / f"{name}_sample{n + 1}.wav", wave, rate) for n, wave in enumerate(each)
            )
            path = write_wave(tmp_path / f"{name}.wav", drawn[name].mean(axis=0), rate)
            reference = write_wave(tmp_path / "truth" / f"{name}.wav", truth, rate) if references else None
            stems.append(StemFiles(name, path, samples, reference))
        return TrackFiles("a track", tmp_path / "mixture.wav", 0, frames, rate, channels, tuple(stems))

    return make
