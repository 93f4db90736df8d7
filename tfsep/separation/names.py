"""Names of the folders and files that stems are written to."""

from __future__ import annotations

import unicodedata

_LONGEST_NAME = 200  # bytes; file systems stop at 255, and suffixes are still to come


def plain_name(name: str) -> str:
    """Return a name as that of one plain folder on every system.

    Separators, characters that some systems refuse and control characters become ``_``; dots and
    spaces at the ends are dropped, so that the folder is not hidden; at most 200 bytes of UTF-8
    stay. A name of which nothing stays becomes "track".
    """
    plain = "".join("_" if char in '/\\:*?"<>|' or unicodedata.category(char)[0] == "C" else char for char in name)
    plain = plain.encode("utf-8", "replace")[:_LONGEST_NAME].decode("utf-8", "ignore")
    return plain.lstrip(". ").rstrip(". ") or "track"
