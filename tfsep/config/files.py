"""Find gin files by name: in the current folder, on the search path, and among those that come with tfsep.

The gin folder has the named recipes at its top and the others in folders below it; a name without a
folder is looked for in all of them, so that ``glow_mel.gin``, ``gin/glow_mel.gin`` and
``gin/ablations/glow_mel.gin`` are one file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfsep.bundled import bundled_folder
from tfsep.config.statements import shortened
from tfsep.errors import InputError
from tfsep.signatures import did_you_mean

#: Folders below gin/ in the order in which a name without a folder is looked for; "" is the top.
FOLDERS = ("", "parts", "ablations", "data", "paper")
#: Each alias of a file: a name that it had before, and the name that it has now.
ALIASES = {"toy_dreamt.gin": "toy_simulated.gin"}


def find(name: str, search_paths: Sequence[str | Path] = ()) -> Path:
    """Return the gin file of a name: a path, or a file on the search path or in the gin folder of tfsep.

    Args:
        name: absolute, or relative to the current folder, to one of ``search_paths``, to the gin folder
            or, in a clone, to its top.
        search_paths: folders.

    Raises:
        InputError: if there is no such file, with the nearest name of those that come with tfsep.
    """
    clone = bundled_folder("gin").parent
    found = _first([Path(name), *(Path(path) / name for path in search_paths), *_bundled(name), clone / name])
    if found is None:
        raise InputError(f"no such gin file: {shortened(name)}{did_you_mean(Path(name).name, _bundled_names())}")
    return found


def find_included(name: str, here: Path | None, search_paths: Sequence[Path], where: str) -> Path:
    """Return the file that an ``include`` names, which must lie below one of the folders that are searched.

    Args:
        name: relative to ``here``, to one of ``search_paths`` or to the gin folder of tfsep. A file
            of that folder includes others of it before those of the search path.
        here: folder of the including file.
        search_paths: folders.
        where: file and line of the statement, for messages.

    Raises:
        InputError: if there is no such file, or it lies elsewhere.
    """
    bundled, own = bundled_folder("gin"), [] if here is None else [here]
    groups = [[folder / name for folder in search_paths], [*_bundled(name)]]
    if here is not None and here.resolve().is_relative_to(bundled.resolve()):
        groups.reverse()
    absolute = [Path(name)] if Path(name).is_absolute() else []
    found = _first([*absolute, *(folder / name for folder in own), *groups[0], *groups[1]])
    if found is None:
        raise InputError(f"{where}: no such file: {shortened(name)}{did_you_mean(Path(name).name, _bundled_names())}")
    if not any(found.resolve().is_relative_to(root.resolve()) for root in [*own, *search_paths, bundled]):
        raise InputError(f"{where}: an included file must lie below the search path, got {name}")
    return found


def _first(candidates: Sequence[Path]) -> Path | None:
    return next((path for path in candidates if os.path.isfile(path)), None)


def _bundled(name: str) -> Iterator[Path]:
    """Yield where a name may lie in the gin folder of tfsep."""
    if Path(name).is_absolute():
        return
    parts = Path(name).parts
    relative = Path(*parts[1:]) if parts[:1] == ("gin",) else Path(name)
    if not relative.name:
        return
    for each in (relative, relative.with_name(ALIASES.get(relative.name, relative.name))):
        for folder in FOLDERS if len(each.parts) == 1 else ("",):
            yield bundled_folder("gin") / folder / each


def _bundled_names() -> list[str]:
    return sorted(path.name for path in bundled_folder("gin").rglob("*.gin"))
