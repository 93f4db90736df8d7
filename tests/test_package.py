"""What a wheel holds: every gin file, bundled model and example beside the code, found by the installed commands."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tfsep import bundled

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = ("gin", "models", "examples")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel without network; return the folder that holds it, and nothing is written to the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    options = {
        "egg_info": {"egg-base": folder},
        "build": {"build-base": folder / "build"},
        "bdist_wheel": {"bdist-dir": folder / "unpacked", "dist-dir": folder},
    }
    words = [str(w) for name, given in options.items() for w in (name, *(f"--{k}={v}" for k, v in given.items()))]
    command = [sys.executable, "setup.py", "--quiet", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel as an installation does; return the folder that stands for site-packages."""
    (wheel,) = built.glob("*.whl")
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def shared_files() -> set[str]:
    """Return what the wheel must bring beside the code, as paths below the repository."""
    found = (path for name in SHARED for path in (REPOSITORY / name).rglob("*"))
    return {
        path.relative_to(REPOSITORY).as_posix() for path in found if path.is_file() and "__pycache__" not in path.parts
    }


def code_files() -> set[str]:
    """Return the files of the package itself."""
    found = (REPOSITORY / "tfsep").rglob("*")
    return {
        path.relative_to(REPOSITORY).as_posix() for path in found if path.is_file() and "__pycache__" not in path.parts
    }


def run(installed: Path, folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in ``folder`` with the unpacked wheel before the clone."""
    clean = {name: value for name, value in os.environ.items() if name != "TFSEP_MODELS"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(installed)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_wheel_holds_every_gin_file_model_and_example(installed: Path) -> None:
    expected = shared_files()
    assert {"gin/glow_stft.gin", "models/songs/model.json"} <= expected
    missing = {path for path in expected if not (installed / "tfsep" / "share" / path).is_file()}
    assert missing == set()


def test_the_wheel_holds_all_of_the_package(installed: Path) -> None:
    assert "tfsep/py.typed" in code_files()
    assert {path for path in code_files() if not (installed / path).is_file()} == set()


def test_the_source_distribution_lists_the_same(built: Path) -> None:
    listed = set((built / "tfsep.egg-info" / "SOURCES.txt").read_text(encoding="utf-8").splitlines())
    assert (shared_files() | code_files() | {"setup.py", "setup.cfg", "README.md", "LICENSE"}) - listed == set()


def test_bundled_folders_of_the_clone_are_the_top_level_ones() -> None:
    for name in SHARED:
        assert bundled.bundled_folder(name) == REPOSITORY / name


@pytest.mark.parametrize("name", SHARED)
def test_an_installed_package_finds_what_came_with_it(installed: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()  # a folder of that name in the working folder is another's
    done = run(installed, tmp_path, "-c", f"from tfsep import bundled; print(bundled.bundled_folder({name!r}))")
    assert done.stdout.strip() == str(installed / "tfsep" / "share" / name)


def test_an_installed_separate_lists_its_models(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-m", "tfsep.cli.separate", "--list_models")
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert names == sorted(path.parent.name for path in (REPOSITORY / "models").glob("*/model.json"))


def test_an_installed_train_finds_its_gin_files(installed: Path, tmp_path: Path) -> None:
    """A file and what it includes, read whole before TensorFlow is imported."""
    code = (
        "import sys\nfrom tfsep import config\nfrom tfsep.config import files\nprint(files.find('glow_stft.gin'))\n"
        "assert config.read(['glow_stft.gin']) and 'tensorflow' not in sys.modules"
    )
    done = run(installed, tmp_path, "-c", code)
    assert done.stdout.strip() == str(installed / "tfsep" / "share" / "gin" / "glow_stft.gin"), done.stderr
    assert done.returncode == 0, done.stderr
