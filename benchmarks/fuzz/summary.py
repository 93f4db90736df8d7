"""What a generator found: how many cases it made, and a line for each fault."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Summary:
    """The outcome of one kind of generator.

    Attributes:
        kind: of the cases, such as "audio".
        cases: how many were made.
        faults: a line for each case in which tfsep did what it must not.
    """

    kind: str
    cases: int
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return one line with the counts, and one for each fault."""
        return "\n".join([f"{self.kind}: {self.cases} cases, {len(self.faults)} faults", *self.faults])
