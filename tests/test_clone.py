"""What a clone promises before any sound is read: scripts that start from anywhere, versions that agree."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tfsep
from tfsep import axes

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS = sorted(path.name for path in (REPOSITORY / "bin").iterdir() if path.is_file() and path.suffix == "")
INSTALLED_EXTRAS = ("eval", "dev")


def declared() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return parser


def requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip()]


def pinned() -> dict[str, str]:
    text = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    pairs = re.findall(r"^([A-Za-z0-9_.-]+)==([0-9][A-Za-z0-9_.]*)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pairs}


def fake_clone(folder: Path, body: str) -> Path:
    """Make a clone whose ``tfsep.cli.separate`` is ``body``; return its bin/separate."""
    shutil.copytree(REPOSITORY / "bin", folder / "bin")
    (folder / "tfsep" / "cli").mkdir(parents=True)
    for package in ("tfsep", "tfsep/cli"):
        (folder / package / "__init__.py").touch()
    (folder / "tfsep" / "cli" / "separate.py").write_text(body, encoding="utf-8")
    return folder / "bin" / "separate"


LAUNCH = "from _launcher import launch\nsys.exit(launch('separate'))"
SAY_WHO = "import sys\ndef main():\n    print(sys.prefix, __file__, *sys.argv[1:], sep='\\n')\n    return 7\n"


def run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def link_environment(clone: Path) -> None:
    """Give a clone the environment that the tests run in."""
    (clone / ".venv").symlink_to(sys.prefix, target_is_directory=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_executable_and_has_its_module(command: str) -> None:
    assert os.access(REPOSITORY / "bin" / command, os.X_OK)
    assert (REPOSITORY / "tfsep" / "cli" / f"{command.replace('-', '_')}.py").is_file()


def test_each_command_is_also_a_console_script() -> None:
    scripts = declared()["options.entry_points"]["console_scripts"].split("\n")
    expected = {f"tfsep-{name} = tfsep.cli.{name.replace('-', '_')}:main" for name in COMMANDS}
    assert {line for line in scripts if line} == expected


def test_a_command_runs_from_any_folder_in_the_clones_environment(tmp_path: Path) -> None:
    clone = tmp_path / "a clone, näher"
    script = fake_clone(clone, SAY_WHO)
    link_environment(clone)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run([sys._base_executable, script, "a b", "--flag"], elsewhere)
    prefix, module, *arguments = done.stdout.splitlines()
    assert done.returncode == 7
    assert Path(prefix).resolve() == Path(sys.prefix).resolve()
    assert Path(module) == clone / "tfsep" / "cli" / "separate.py"
    assert arguments == ["a b", "--flag"]


def test_a_command_runs_through_symlinks(tmp_path: Path) -> None:
    script = fake_clone(tmp_path / "clone", SAY_WHO)
    link_environment(tmp_path / "clone")
    (tmp_path / "second").symlink_to(script)
    (tmp_path / "first").symlink_to("second")
    done = run([tmp_path / "first", "x"], tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (7, "x")


def test_an_environment_that_is_none_is_entered_once_only(tmp_path: Path) -> None:
    """A .venv whose Python does not know that it is one must not be started again and again."""
    script = fake_clone(tmp_path, SAY_WHO)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys._base_executable)
    done = run([sys.executable, script], tmp_path)
    assert done.returncode in (1, 7)


def test_a_clone_without_environment_says_how_to_make_one(tmp_path: Path) -> None:
    script = fake_clone(tmp_path, SAY_WHO)
    code = f"import sys\nsys.path.insert(0, {str(script.parent)!r})\n" + LAUNCH
    done = run([sys.executable, "-I", "-S", "-c", code], tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "make demo" in done.stderr and done.stderr.count("\n") == 1


def test_constraints_hold_exact_versions_with_hashes_and_no_place() -> None:
    """Anything else, such as the address of an index, would be an option of pip."""
    text = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    hashes = r"( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    entry = rf"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9_.]*( ; [a-z_ =<>!'.0-9A-Z]+)?{hashes}"
    assert re.fullmatch(f"({entry})+", kept)


def test_what_builds_tfsep_is_pinned() -> None:
    assert {"setuptools", "wheel"} <= set(pinned())


def test_constraints_lie_in_the_declared_ranges() -> None:
    config = declared()
    asked = requirements(config["options"]["install_requires"])
    for extra in INSTALLED_EXTRAS:
        asked += requirements(config["options.extras_require"][extra])
    versions = pinned()
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{name} is not pinned"
        assert requirement.specifier.contains(versions[name]), f"{name} {versions[name]} is outside {requirement}"


def test_the_tests_run_on_what_is_declared() -> None:
    for requirement in requirements(declared()["options"]["install_requires"]):
        assert requirement.specifier.contains(metadata.version(requirement.name)), requirement


def test_the_version_is_in_the_changelog() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(tfsep.__version__)}\b", text, flags=re.MULTILINE)


def test_the_citation_names_the_version() -> None:
    text = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(tfsep.__version__)}$", text, flags=re.MULTILINE)


def test_continuous_integration_runs_what_a_contributor_can() -> None:
    text = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.search(r"^ +- run: \.ci/run$", text, flags=re.MULTILINE)


def test_the_build_has_the_promised_targets() -> None:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test", "test-all", "coverage", "lint", "types", "smoke", "benchmark", "clean"):
        assert re.search(rf"^{target}:", text, flags=re.MULTILINE), target
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)


def test_every_layout_keeps_the_order_of_axes() -> None:
    for layout in (axes.SOUND, axes.WAVES, axes.SOURCES, axes.SPECTROGRAMS):
        assert list(layout) == sorted(layout, key=axes.ORDER.index)
