"""bin/train: resumes, refusals, and what it leaves in its folder, with a model small enough to train here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tfsep import config
from tfsep.cli import train
from tfsep.config import registry
from tfsep.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
GAUSSIAN = REPOSITORY / "tests" / "training" / "gaussian.py"

# Runs several command lines in one process: importing TensorFlow for each would take most of the time. The gin name
# `train` is given to a function that trains the Gaussian of tests/training instead of the recipe of whole models.
DRIVER = """
import contextlib, importlib.util, io, json, sys
from pathlib import Path
from tfsep import config
from tfsep.cli import train as command
from tfsep.training.loop import fit

spec = importlib.util.spec_from_file_location("gaussian", sys.argv[1])
gaussian = sys.modules["gaussian"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gaussian)

def train(save_dir, fit_settings, names=("one", "two"), seed=0, resume=True):
    for name in names:
        print(name, "at", (Path(save_dir) / "config.gin").read_text().count("\\n"), file=sys.stderr)
        fit(gaussian.gaussian_task(name=name), save_dir, fit_settings, seed, resume)

gaussian.train = train
config.register([config.Entry("train", "gaussian", "train", ("save_dir", "seed", "resume"))])
results = []
for arguments in json.loads(sys.argv[2]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command.main(arguments)
    results.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""
GIN = "train.fit_settings = @fit()\nfit.num_steps = 30\nfit.log_every = 10\nfit.checkpoint_every = 10\n"

TINY = "--gin_file=tiny.gin"
# The order matters: each line finds the folders as those before it left them.
LINES = {
    "typo": ["--gin_file=typo.gin"],
    "import": ["--gin_file=import.gin"],
    "nowhere": ["--gin_file=nowhere.gin"],
    "import in a parameter": [TINY, "--gin_param=import os"],
    "wrong type": [TINY, "--gin_param=fit.num_steps = 'six'"],
    "unknown name": [TINY, "--gin_param=fitt.num_steps = 3"],
    "first": [TINY],
    "again": [TINY],
    "free setting": [TINY, "--gin_param=fit.log_every = 15"],
    "other rate": [TINY, "--gin_param=fit.learning_rate = 0.5"],
    "other names": [TINY, "--gin_param=train.names = ('one',)"],
    "other seed": [TINY, "--seed=1"],
    "start over": [TINY, "--seed=1", "--noresume", "--gin_param=train.names = ('one',)"],
    "taken": [TINY, "--save_dir=taken"],
    "taken, start over": [TINY, "--save_dir=taken", "--noresume"],
    "below a file": [TINY, "--save_dir=file/below"],
    "broken": [TINY, "--save_dir=broken"],
    "negative": ["--gin_file=negative.gin", "--save_dir=corrected"],
    "corrected": [TINY, "--gin_param=train.names = ()", "--save_dir=corrected"],
}

Outcome = tuple[int, str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command lines run: gin files, and folders that are not to be trained in."""
    made = tmp_path_factory.mktemp("train")
    (made / "tiny.gin").write_text(GIN)
    (made / "typo.gin").write_text("fit.num_stepz = 3\n")
    (made / "import.gin").write_text("import os\n")
    (made / "negative.gin").write_text("train.fit_settings = @fit()\nfit.num_steps = -3\n")
    (made / "taken").mkdir()
    (made / "taken" / "config.gin").write_text("mine")
    (made / "broken" / "one").mkdir(parents=True)
    (made / "broken" / "one" / "task.json").write_text("{}")
    (made / "broken" / "run.json").write_text("{")
    (made / "file").write_text("")
    return made


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    """Exit code, stdout and stderr of each command line."""
    command = [sys.executable, "-c", DRIVER, str(GAUSSIAN), json.dumps(list(LINES.values()))]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=True)
    return {name: tuple(outcome) for name, outcome in zip(LINES, json.loads(done.stdout), strict=True)}


def one_line(outcome: Outcome, code: int, *parts: str) -> None:
    """Assert an exit code and an error of one line that names all the parts."""
    assert outcome[0] == code, outcome
    assert outcome[1] == ""
    assert outcome[2].startswith("error: ") and outcome[2].count("\n") == 1, outcome[2]
    for part in parts:
        assert part in outcome[2]


def test_a_first_run_prints_a_line_per_model(outcomes: dict[str, Outcome]) -> None:
    code, out, err = outcomes["first"]
    assert code == 0, err
    assert [line.split(", loss ")[0] for line in out.splitlines()] == [
        "runs/tiny/one: 30 steps",
        "runs/tiny/two: 30 steps",
    ]
    assert "nats_per_dim" in out and "30/30" in err


def test_the_configuration_is_there_before_the_first_step(outcomes: dict[str, Outcome]) -> None:
    lines = int(outcomes["first"][2].split("one at ")[1].split()[0])
    assert lines > GIN.count("\n")


@pytest.mark.parametrize("name", ["again", "free setting"])
def test_a_finished_model_is_not_trained_again(outcomes: dict[str, Outcome], name: str) -> None:
    assert outcomes[name][:2] == outcomes["first"][:2]
    assert "30/30" not in outcomes[name][2]


@pytest.mark.parametrize(
    ("name", "code", "parts"),
    [
        ("typo", 2, ["typo.gin, line 1: 'fit' has no parameter 'num_stepz'; did you mean 'num_steps'?"]),
        ("wrong type", 2, ["fit.num_steps must be int, got 'six'"]),
        ("import", 2, ["import.gin, line 1", "import os"]),
        ("nowhere", 2, ["no such gin file: nowhere.gin"]),
        ("import in a parameter", 2, ["gin_param", "import os"]),
        ("unknown name", 2, ["'fitt'", "did you mean 'fit'"]),
        ("other rate", 2, ["fit.learning_rate was not set, is 0.5", "--noresume"]),
        ("other names", 2, ["train.names was not set"]),
        ("other seed", 2, ["seed was 0, is 1"]),
        ("taken", 2, ["taken holds a config.gin"]),
        ("taken, start over", 2, ["taken holds a config.gin"]),
        ("below a file", 1, ["cannot write"]),
        ("broken", 2, ["run.json is not JSON"]),
        ("negative", 2, ["fit.num_steps must be a whole number of at least 1, got -3"]),
    ],
)
def test_a_refusal_is_one_line(outcomes: dict[str, Outcome], name: str, code: int, parts: list[str]) -> None:
    one_line(outcomes[name], code, *parts)


def test_starting_over_leaves_only_the_new_run(outcomes: dict[str, Outcome], folder: Path) -> None:
    assert outcomes["start over"][0] == 0
    run = folder / "runs" / "tiny"
    assert sorted(path.name for path in run.iterdir()) == ["config.gin", "one", "run.json"]
    assert json.loads((run / "one" / "task.json").read_text())["seed"] == 1
    config = (run / "config.gin").read_text()
    assert "fit.num_steps = 30" in config and "fit.ema_decay = 0.999" in config, "defaults in use are there too"


def test_where_nothing_was_trained_another_configuration_may_start(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["corrected"][0] == 0, outcomes["corrected"]


def test_refused_folders_are_left_as_they_were(outcomes: dict[str, Outcome], folder: Path) -> None:
    assert [path.name for path in (folder / "taken").iterdir()] == ["config.gin"]
    assert (folder / "taken" / "config.gin").read_text() == "mine"
    assert (folder / "broken" / "run.json").read_text() == "{"
    assert [path.name for path in (folder / "runs").iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["--gin_file must be given"]),
        (["--gin_file=a.gin", "--seed=-1"], ["--seed must lie in 0..4294967295, got -1"]),
        (["--gin_file=a.gin", "--seed=x"], ["--seed", "'x'"]),
        (["--gin_flie=a.gin"], ["--gin_flie=a.gin"]),
    ],
)
def test_bad_arguments_are_refused_before_tensorflow(
    arguments: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = train.main(arguments)
    captured = capsys.readouterr()
    one_line((code, captured.out, captured.err), 2, *parts)


# What bin/train wrote of gin/glow_wave.gin when all kinds had the names `prior` and `posterior`.
OLDER = {
    "gibbs/posterior.kind": "'gibbs'",
    "gibbs/posterior.num_levels": "10",
    "langevin/posterior.kind": "'langevin'",
    "prior.kind": "'glow'",
    "prior.sigma_range": "(0.01, 8.0)",
    "prior/fit.checkpoint_every": "125",
    "prior/fit.num_steps": "500",
    "train.posteriors": "[@gibbs/posterior(), @langevin/posterior()]",
    "train.prior": "@prior()",
}
PRESENT = [
    "train.prior = @glow()",
    "glow.sigma_range = (0.01, 8.0)",
    "prior/fit.num_steps = 500",
    "prior/fit.checkpoint_every = 50",
    "train.posteriors = [@gibbs(), @langevin()]",
    "gibbs.num_levels = 10",
]


def test_a_run_in_the_older_spelling_is_the_same_run(tmp_path: Path) -> None:
    config.register()
    (tmp_path / "sine").mkdir()
    (tmp_path / "sine" / "task.json").write_text("{}")
    (tmp_path / "run.json").write_text(json.dumps({"seed": 3, "settings": OLDER}))
    config.parse([], [*PRESENT, "gibbs.num_levels = 11"])
    with pytest.raises(InputError, match="holds another training: gibbs.num_levels was 10, is 11; use --noresume"):
        train.claim(tmp_path, 3, config.bindings(), resume=True)
    config.parse([], PRESENT)
    train.claim(tmp_path, 3, config.bindings(), resume=True)
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["train.prior"] == "@glow()"
    config.parse([])


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "",
            ["priors: .*, glow, ", "posteriors: amortised, ", "data: .*, toy$", "training: effects, fine_tune, fit, "],
        ),
        ("glow", [r"num_steps +int +4 +\w+", r"sigma_range +tuple\[float, float\] \| None +"]),
        ("gibbs", [r"num_levels +int +20 +\w+", r"silence_probability +float +0.0 +\w+"]),
        ("gibbs", ["polish_sigma .* last noise level of the polish", "choice .*validation"]),
        ("toy", [r"sample_rate +int +16000 +\w+", r"free +bool +False +\w+"]),
        ("train", [r"data +SourceData +required +isolated sources to train on$"]),
    ],
)
def test_names_and_their_parameters_are_listed(name: str, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--list_parameters", *([name] if name else [])]) == 0
    listed = capsys.readouterr().out
    for line in lines:
        assert re.search(f"^{line}", listed, flags=re.MULTILINE), (line, listed)
    assert "save_dir" not in listed and "`" not in listed


@pytest.mark.parametrize("group", ["priors", "posteriors", "data", "training"])
def test_every_parameter_is_described(group: str) -> None:
    config.register()
    for name in registry.kinds(group):
        rows = [re.split("  +", line) for line in config.list_parameters(name).splitlines()]
        assert rows and all(len(row) == 4 and row[3] for row in rows), (name, rows)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("glwo", "unknown name 'glwo'; did you mean 'glow'?"),
        ("prior", "'prior' refers to the kind in use: one of flowavenet, gaussian, glow, "),
    ],
)
def test_an_unknown_name_has_no_parameters(name: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = train.main([f"--list_parameters={name}"])
    one_line((code, *capsys.readouterr()), 2, complaint)


def test_a_missing_file_is_named_before_tensorflow_is_imported(tmp_path: Path) -> None:
    script = "import sys; from tfsep.cli import train; code = train.main(sys.argv[1:])"
    script += "; assert 'tensorflow' not in sys.modules; sys.exit(code)"
    command = [sys.executable, "-c", script, "--gin_file=glow_stftt.gin"]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
    one_line(
        (done.returncode, done.stdout, done.stderr),
        2,
        "no such gin file: glow_stftt.gin; did you mean 'glow_stft.gin'?",
    )


def test_the_real_command_names_a_typo_in_a_committed_file(tmp_path: Path) -> None:
    gin_file = REPOSITORY / "gin" / "glow_stft.gin"
    shutil.copy(gin_file, tmp_path / "mine.gin")
    arguments = ["--gin_file=mine.gin", "--gin_param=prior/fit.num_stepz = 3"]
    command = [sys.executable, REPOSITORY / "bin" / "train", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    one_line((done.returncode, done.stdout, done.stderr), 2, "'num_stepz'")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.gin"]
