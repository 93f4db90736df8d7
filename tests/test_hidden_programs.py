"""The switch ``TFSEP_HIDE_PROGRAMS``: tests run as on a machine without any optional program or package."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
pytestmark = pytest.mark.programs


def constant(file: str, name: str) -> tuple[str, ...]:
    """Return a tuple of names that a file of the tests assigns at its top level."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    (value,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )
    return ast.literal_eval(value)


PROGRAMS = constant("conftest.py", "PROGRAMS")
PACKAGES = constant("hidden_programs/sitecustomize.py", "PACKAGES")

INNER_TEST = f"""
import importlib.util, shutil, subprocess, sys
import pytest

LOOK = '''
import importlib.util, shutil
print([name for name in {PROGRAMS} if shutil.which(name)])
print([name for name in {PACKAGES} if importlib.util.find_spec(name)])
'''

def test_nothing_is_found(request):
    assert shutil.which("ordinary") and importlib.util.find_spec("ordinary_package")
    assert subprocess.run(["ordinary"]).returncode == 0
    assert not [name for name in {PROGRAMS} if shutil.which(name)]
    with pytest.raises(ModuleNotFoundError, match="pyworld"):
        import pyworld
    with pytest.raises(pytest.skip.Exception, match="needs fluidsynth and a soundfont"):
        request.getfixturevalue("soundfont")

def test_nothing_is_found_by_a_command():
    assert subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True).stdout.split() == ["[]", "[]"]
"""


@pytest.mark.parametrize(("switch", "code", "summary"), [("1", 0, "2 passed"), ("0", 1, "2 failed")])
def test_programs_and_packages_are_hidden_in_tests_and_in_what_they_start(
    tmp_path: Path, switch: str, code: int, summary: str
) -> None:
    for name in (*PROGRAMS, "ordinary"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / "bin" / name).chmod(0o755)
    for name in (*PACKAGES, "ordinary_package"):
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").touch()
    (tmp_path / "tests").mkdir()
    shutil.copy(TESTS / "conftest.py", tmp_path / "tests")
    shutil.copytree(TESTS / "hidden_programs", tmp_path / "tests" / "hidden_programs")
    (tmp_path / "tests" / "test_inner.py").write_text(INNER_TEST)
    environment = os.environ | {
        "TFSEP_HIDE_PROGRAMS": switch,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path / "packages"),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        str(tmp_path / "tests"),
    ]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, summary in done.stdout) == (code, True), done.stdout
    assert ("hidden: ffmpeg" in done.stdout) is (switch == "1")


def test_every_file_that_looks_for_a_program_is_marked() -> None:
    looks_for = re.compile(
        rf"""which\(["']({"|".join(PROGRAMS)})["']|(importorskip|find_spec)\(["']({"|".join(PACKAGES)})\b"""
        r"""|setenv\(["']PATH["']|\b(soundfont|browser): """
    )
    files = {path.relative_to(TESTS).as_posix(): path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")}
    looking = {path for path, text in files.items() if looks_for.search(text)}
    marked = {path for path, text in files.items() if re.search(r"^pytestmark = pytest\.mark\.programs$", text, re.M)}
    assert len(looking) > 5 and looking - marked == set()


def test_every_program_that_is_looked_for_can_be_hidden() -> None:
    folders = [TESTS.parent / "tfsep", TESTS.parent / "benchmarks", TESTS]
    sources = "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py"))
    found = set(re.findall(r"which\(\"([a-z]+)\"\)", sources)) - {"ordinary"}
    assert len(found) > 2 and found <= set(PROGRAMS)
