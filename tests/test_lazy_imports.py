"""`import tfsep` and every command's --help load nothing slow: TensorFlow comes when there is work to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tfsep

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS = sorted(path.name for path in (REPOSITORY / "bin").iterdir() if path.is_file() and path.suffix == "")
TENSORFLOW = ("tensorflow", "tensorflow_probability", "tf_keras", "keras")
SLOW = (*TENSORFLOW, "librosa", "matplotlib", "jinja2", "scipy", "sklearn", "museval")
MOST_OWN_MODULES = 75
MOST_MODULES = 250  # about 120, and twice that where a script first enters .venv


def loaded_by(statement: str) -> list[str]:
    """Run a statement in a fresh interpreter; return the slow libraries that it has loaded."""
    report = f"{statement}\nimport sys\nprint(*(name for name in {SLOW} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "module", ["tfsep", "tfsep.errors", "tfsep.axes", "tfsep.audio.files", "tfsep.audio.resample", "tfsep.metrics"]
)
def test_light_modules_load_nothing_slow(module: str) -> None:
    assert loaded_by(f"import {module}") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_nothing_slow(command: str) -> None:
    assert loaded_by(f"import tfsep.cli.{command.replace('-', '_')}") == []


def test_separating_without_priors_does_without_tensorflow_probability() -> None:
    """What bin/separate loads; kinds of priors, which are bijectors of that library, come with the first prior."""
    assert "tensorflow_probability" not in loaded_by("from tfsep.separation.separator import Separator")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_little(command: str) -> None:
    """Count modules, not seconds: other work on the machine changes the seconds."""
    # The scripts' own first line then finds the Python of these tests.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    script = REPOSITORY / "bin" / command
    environment = os.environ | {"PATH": path, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([script, "--help"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout.lower()
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("import time:")] == []
    imported = [line.rpartition("|")[2].strip() for line in lines]
    assert "tfsep.cli.runner" in imported
    assert [name for name in SLOW if name in imported] == []
    assert len(imported) < MOST_MODULES


def test_models_are_listed_and_chosen_without_tensorflow() -> None:
    chosen = "from tfsep.models.request import select\nselect('toy', 'gibbs', steps=3, silence=0.1, without=['sine'])"
    assert loaded_by(f"import tfsep\nassert 'toy' in [model.name for model in tfsep.list_models()]\n{chosen}") == []


@pytest.mark.parametrize(
    "asked",
    [
        "select('tyo')",
        "select('toy', 'gibs')",
        "select('toy', without=['drums'])",
        "select('toy', priors={'a': 'toy'})",
    ],
)
def test_what_no_model_has_is_refused_without_tensorflow(asked: str) -> None:
    statement = "from tfsep.errors import InputError\nfrom tfsep.models.request import select\n"
    statement += f"try:\n    {asked}\nexcept InputError:\n    pass\nelse:\n    raise AssertionError"
    assert loaded_by(statement) == []


def test_separating_a_song_imports_what_it_uses(tmp_path: Path) -> None:
    """One run of the default model on a second of stereo at 44.1 kHz, as a user starts it."""
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, (44100, 2))
    soundfile.write(tmp_path / "song.wav", noise, 44100)
    code = (
        "import sys\nfrom tfsep.cli import separate\ncode = separate.main(['song.wav', '--quiet'])\n"
        "print(code, *sorted(name for name, module in sys.modules.items() if name.startswith('tfsep.')"
        " and not module.__file__.endswith('__init__.py')), file=sys.stderr)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TFSEP_MODELS"}
    environment |= {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    exit_code, *modules = done.stderr.splitlines()[-1].split()
    assert exit_code == "0" and "tfsep.posteriors.amortised" in modules
    unused = {"audio.ffmpeg", "audio.mp3_length", "posteriors.gibbs", "priors.registry", "report.page", "config"}
    assert {f"tfsep.{name}" for name in unused} & set(modules) == set()
    assert len(modules) < MOST_OWN_MODULES, modules


@pytest.mark.parametrize("name", tfsep.__dir__())
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tfsep, name) is not None or name.startswith("__")


def test_public_names_are_those_of_their_modules() -> None:
    from tfsep.separation.separator import Separator

    assert tfsep.Separator is Separator
    assert (tfsep.Prior.__module__, tfsep.Posterior.__module__) == ("tfsep.priors.base", "tfsep.posteriors.base")
    assert tfsep.Model.__module__ == "tfsep.models.store"
    assert set(tfsep.__all__) == {*tfsep._ATTRIBUTES, *tfsep._SUBMODULES, "__version__"}
    assert tfsep.mixing.__name__ == "tfsep.mixing"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'seperator'"):
        tfsep.__getattr__("seperator")


def test_documented_faces_are_reached_from_the_package_alone() -> None:
    """In a fresh process: a submodule that some other test has imported would be found here in any case."""
    faces = ("data.toy.mixtures", "metrics.si_sdr", "mixing.log_likelihood", "mixing.project", "priors.build")
    done = loaded_by("import tfsep\n" + "\n".join(f"assert callable(tfsep.{face})" for face in faces))
    assert "tensorflow" in done
