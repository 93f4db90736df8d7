"""The licence of every package that tfsep is installed with is found."""

from __future__ import annotations

import pytest

from benchmarks import licences


def test_every_package_has_a_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main() == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = {name: licence for name, _, licence in rows}
    assert found["tfsep"] == "Apache-2.0" and found["numpy"].startswith("BSD") and {"tensorflow", "ruff"} <= set(found)


def test_a_package_without_a_licence_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(licences, "licence", lambda package: "")
    assert licences.main() == 1
    assert "unknown" in capsys.readouterr().out
