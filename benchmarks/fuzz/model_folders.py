"""Model folders that were changed: each is loaded and separates, or is refused in one line."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.summary import Summary
from benchmarks.fuzz.trial import SECONDS, fault

_RATE, _SEGMENT = 8000, 64
_POSTERIORS = (None, "gibbs", "amortised")
_GLOW: dict[str, Any] = {
    "kind": "glow",
    "length": _SEGMENT,
    "squeeze": 4,
    "num_levels": 1,
    "num_steps": 1,
    "width": 4,
    "num_layers": 1,
    "sigma_range": [0.01, 8.0],
}
_MASKS: dict[str, Any] = {
    "kind": "amortised",
    "network_settings": {"width": 4, "num_blocks": 1},
    "temperature": [1.0, 1.0],
}
_GIBBS: dict[str, Any] = {"kind": "gibbs", "num_levels": 2, "num_restarts": 1}
_COMPOSITION: dict[str, Any] = {"kind": "composition", "stages": ["amortised", _GIBBS], "keep": 2}
_VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 2, 64, 2.5, -0.0, 1e-300, 1e300, float("nan"), float("inf"), 10**6, 10**9, 10**30,
    10**400, "", "x", ".", "..", "../x", "/etc/passwd", "a\0b", "\ud800", "\x1b[31m", "n" * 5000, "glow", "gibbs",
    "amortised", "composition", "priors/sine.safetensors", [], [1], [1, 2], [2, 1], ["a", "b"], [None], [[1]], {},
    {"kind": "gibbs"}, {"0": 1}, [{"kind": "gibbs"}] * 300, ["amortised"] * 5, list(range(200)),
)  # fmt: skip


def run(num_cases: int, seed: int) -> Summary:
    """Load generated model folders, and separate by those that load.

    Args:
        num_cases: how many.
        seed: of all of them.
    """
    summary = Summary("model folders", num_cases)
    with tempfile.TemporaryDirectory() as place:
        sound = Path(place) / "sound"
        write_model(sound)
        limit = SECONDS + max(_seconds(sound, posterior) for posterior in _POSTERIORS)
        for number in range(num_cases):
            draw = random.Random(f"{seed} {number}")
            folder = Path(place) / "case"
            shutil.copytree(sound, folder, symlinks=True)
            kind = draw.choice(list(_KINDS))
            _KINDS[kind](draw, folder)
            posterior = draw.choice(_POSTERIORS)
            found = fault(lambda posterior=posterior, folder=folder: _used(folder, posterior), limit)  # type: ignore[misc]
            if found is not None:
                summary.faults.append(f"model folder {number} of seed {seed} ({kind}): {found}")
            shutil.rmtree(folder)
    return summary


def write_model(folder: Path) -> None:
    """Write a small model of two sources with a part of each form."""
    from tfsep import posteriors, priors
    from tfsep.models.store import save_model

    gains = (0.5, 0.5)
    learned = posteriors.build(**_MASKS, num_sources=2, segment=_SEGMENT, gains=gains)
    parts = {name: (_GLOW, priors.build(**_GLOW)) for name in ("sine", "square")}
    trained = [(_COMPOSITION, None), (_MASKS, learned), (_GIBBS, None)]
    save_model(folder, ("sine", "square"), _RATE, _SEGMENT, gains, parts, trained, {"overlap": 0.25})


def _seconds(folder: Path, posterior: str | None) -> float:
    """Return how long a folder takes that nothing has changed: its programs are compiled."""
    began = time.monotonic()
    _used(folder, posterior)
    return time.monotonic() - began


def _used(folder: Path, posterior: str | None) -> None:
    from tfsep.separation.separator import Separator

    separator = Separator.load(str(folder), posterior=posterior)
    mixture = np.random.default_rng(0).uniform(-0.5, 0.5, 100).astype(np.float32)
    stems = separator(mixture)
    if not all(np.isfinite(stem).all() and stem.shape == mixture.shape for stem in stems.values()):
        raise AssertionError("stems that are not finite, or of another length")


def _changed(draw: random.Random, folder: Path) -> None:
    """Change values of the description."""
    file = folder / "model.json"
    description = json.loads(file.read_text())
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        inner, where = draw.choice(_places(description))
        if draw.random() < 0.15:
            del inner[where]
        elif draw.random() < 0.1 and isinstance(inner, dict):
            inner[draw.choice(("self", "domain", "start", "stages", "keep", "weights", "present", "new"))] = (
                draw.choice(_VALUES)
            )
        else:
            inner[where] = draw.choice(_VALUES)
    file.write_text(json.dumps(description))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return container and key of everything in a value."""
    found: list[tuple[Any, Any]] = []
    inner = [value]
    while inner:
        each = inner.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        found += [(each, key) for key in keys]
        inner += [each[key] for key in keys]
    return found


def _garbled(draw: random.Random, folder: Path) -> None:
    """Change bytes of the description."""
    _damage(draw, folder / "model.json")


def _weights(draw: random.Random, folder: Path) -> None:
    """Change bytes of weights, with the manifest and without it."""
    if draw.random() < 0.5:
        description = json.loads((folder / "model.json").read_text())
        del description["manifest"]
        (folder / "model.json").write_text(json.dumps(description))
    _damage(draw, draw.choice(sorted(folder.rglob("*.safetensors"))))


def _damage(draw: random.Random, file: Path) -> None:
    content = bytearray(file.read_bytes())
    how = draw.choice(("cut", "flip", "noise", "insert", "gone", "empty"))
    if how == "cut":
        del content[draw.randrange(len(content)) :]
    elif how == "flip":
        for _ in range(draw.choice((1, 10))):
            content[draw.randrange(min(len(content), draw.choice((20, 2000, 10**9))))] ^= 1 << draw.randrange(8)
    elif how == "noise":
        content = bytearray(draw.randbytes(draw.choice((8, 500))))
    elif how == "insert":
        where = draw.randrange(len(content))
        content[where:where] = draw.randbytes(5)
    elif how == "empty":
        content = bytearray()
    file.unlink()
    if how != "gone":
        file.write_bytes(content)


def _links(draw: random.Random, folder: Path) -> None:
    """Put links, folders and swapped files in the place of weights."""
    files = sorted(folder.rglob("*.safetensors"))
    file = draw.choice(files)
    how = draw.choice(("outside", "itself", "folder", "other", "deep"))
    if how == "other":
        shutil.copy(draw.choice(files), folder / "kept")
        shutil.move(folder / "kept", file)
        return
    file.unlink()
    if how == "folder":
        file.mkdir()
    else:
        file.symlink_to({"outside": "/etc/passwd", "itself": file.name, "deep": "../" * 40 + "etc/passwd"}[how])


def _nested(draw: random.Random, folder: Path) -> None:
    """Make the description deep or long."""
    depth = draw.choice((20, 900, 100_000))
    text = draw.choice(
        ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "1" * depth, '"' + "a" * depth + '"')
    )
    description = json.loads((folder / "model.json").read_text())
    description["settings"] = "PLACE"
    (folder / "model.json").write_text(json.dumps(description).replace('"PLACE"', text))


_KINDS: dict[str, Callable[[random.Random, Path], None]] = {
    "changed": _changed,
    "changed again": _changed,
    "garbled": _garbled,
    "weights": _weights,
    "links": _links,
    "nested": _nested,
}
