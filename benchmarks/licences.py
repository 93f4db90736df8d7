"""List the licence of every package that tfsep is installed with, as its own metadata says: `make licences`."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_TROVE = "License :: "
_SHOWN = 60
_NAMED = re.compile(r"(Apache|MIT|BSD[ \w-]*|GNU[ \w]*General Public) License")


def main() -> int:
    """Print a line for each package: name, version, licence; return 1 where one says nothing."""
    rows = sorted(set(packages("tfsep", ("eval", "dev"))), key=str.casefold)
    found = [(name, importlib.metadata.version(name), licence(importlib.metadata.distribution(name))) for name in rows]
    for name, version, text in found:
        print(f"{name}\t{version}\t{text or 'unknown'}")
    return 0 if all(text for _, _, text in found) else 1


def packages(name: str, extras: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the names of a package and of all that it needs here, each as often as it is needed."""
    waiting, seen = [(name, extras)], set()
    while waiting:
        package, wanted = waiting.pop()
        if (package, wanted) in seen:
            continue
        seen.add((package, wanted))
        try:
            needed = importlib.metadata.requires(package) or []
        except importlib.metadata.PackageNotFoundError:  # for another system, or an extra that is not installed
            continue
        yield _normal(package)
        waiting += [found for text in needed if (found := _needed(text, wanted)) is not None]


def licence(package: importlib.metadata.Distribution) -> str:
    """Return what a package's metadata, or else its licence file, says, "" where neither does."""
    metadata = package.metadata
    if expression := " ".join(metadata.get_all("License-Expression") or ()):
        return expression
    troves = [text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier") or () if text.startswith(_TROVE)]
    if chosen := [each for each in troves if each != "OSI Approved"]:
        return "; ".join(chosen)
    if text := " ".join(metadata.get_all("License") or ()).strip():
        return text.partition("\n")[0][:_SHOWN]
    for file in package.files or ():
        if "licen" in file.name.lower():
            named = _NAMED.search(Path(str(file.locate())).read_text(encoding="utf-8", errors="replace"))
            if named:
                return named[0]
    return ""


def _needed(text: str, extras: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Return name and extras of a requirement that holds here."""
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    environments = [{"extra": extra} for extra in extras] or [{"extra": ""}]
    if requirement.marker is not None and not any(map(requirement.marker.evaluate, environments)):
        return None
    return _normal(requirement.name), tuple(sorted(requirement.extras))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
