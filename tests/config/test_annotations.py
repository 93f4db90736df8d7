"""Values of gin files against annotations."""

from __future__ import annotations

import pytest

from tfsep.config.annotations import fits
from tfsep.config.statements import Macro, Reference


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [3, -1], [3.0, "3", True, None, [3]]),
        ("float", [3, 0.5], ["0.5", False, None]),
        ("bool", [True], [1, "True"]),
        ("str", ["six"], [6, None]),
        ("str | Path", ["runs"], [6]),
        ("float | None", [None, 1], ["1"]),
        ("int | Sequence[int]", [16, (12, 4), [3, 2]], [1.5, (1.5, 2), "12"]),
        ("Sequence[str]", [("drums", "bass"), []], ["drums", (1,)]),
        ("Sequence[Sequence[int]]", [((0, 3),), ()], [(0, 3), ((0, "3"),)]),
        ("tuple[float, float] | None", [(0.1, 1), [0.1, 1.0], None], [(0.1,), (0.1, 1, 2), ("a", "b"), 0.1]),
        ("tuple[int, ...]", [(1,), (1, 2, 3)], [(1.5,), 1]),
        ("Mapping[str, object]", [{"width": 3}, {}], [{3: "width"}, [("width", 3)]]),
        ("dict[str, int]", [{"width": 3}], [{"width": "3"}]),
        ("Settings | None", [{"width": 3}, None], ["width"]),
        ("Literal['gibbs', 'jacobi']", ["gibbs"], ["gauss", 1]),
        ("'int'", [1], ["1"]),
        ("SourceData", [Reference("", "toy")], [1, "x", None]),
        ("TensorLike", [1, "x", None], []),
        ("tf.Tensor | int", [1, "x"], []),
        ("Callable[[int], int]", [1], []),
        ("not python", [1], []),
    ],
)
def test_values_fit_or_not(annotation: str, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not fits(value, annotation)] == []
    assert [value for value in bad if fits(value, annotation)] == []


def test_what_is_known_only_later_fits() -> None:
    for value in (Reference("", "toy"), Macro("SIZE"), [Macro("SIZE"), 3]):
        assert fits(value, "int | Sequence[int]")
    assert not fits([Macro("SIZE"), "3"], "Sequence[int]")
