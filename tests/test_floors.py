"""The walls of the house, read from the imports of every module (drawn and explained in CONTRIBUTING.md).

A floor imports lower floors only, rooms on one floor do not import each other, and some libraries live in one place.
The rules are the tables below; the second half of the file breaks each of them to show that it is noticed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfsep

REPOSITORY = Path(__file__).resolve().parents[1]
MODULES = sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "tfsep").rglob("*.py"))
MOST_LINES = 300

# Lowest first. Errors and words stand under everything, the mixing model included.
FLOORS = (
    ("errors", "axes", "tracing", "holding"),
    ("mixing",),
    ("audio", "metrics"),
    ("data", "networks", "bijectors"),
    ("priors", "baselines"),
    ("posteriors",),
    ("separation",),
    ("training", "export", "report"),
    ("experiments",),
    ("config",),
    ("cli",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Lower floors that a room must not import all the same, and the modules of them that it may.
CLOSED = {
    "posteriors": {"tfsep.priors": "tfsep.priors.base"},
    "training": {
        "tfsep.data": None,
        "tfsep.networks": None,
        "tfsep.bijectors": None,
        "tfsep.baselines": None,
        "tfsep.priors": "tfsep.priors.base",
        "tfsep.posteriors": "tfsep.posteriors.base",
        "tfsep.separation": None,
    },
    "export": {"tfsep.data": None},
    "report": {
        "tfsep.data": None,
        "tfsep.networks": None,
        "tfsep.bijectors": None,
        "tfsep.priors": None,
        "tfsep.baselines": None,
        "tfsep.posteriors": None,
        "tfsep.separation": None,
    },
}

# A library on the left is imported only by the modules on the right.
HOMES = {
    "gin": ("tfsep.config",),
    "absl": ("tfsep.cli",),
    "jinja2": ("tfsep.report.page",),
    "matplotlib": ("tfsep.experiments.figures", "tfsep.report.pictures", "tfsep.training.summaries"),
    "soundfile": ("tfsep.audio.files",),
    "tensorflow_probability": ("tfsep.bijectors", "tfsep.priors", "tfsep.posteriors.diagnostics"),
}

# A room on the left never imports the libraries on the right.
BANNED = {
    "mixing": ("keras", "tf_keras"),
    "audio": ("keras", "tf_keras"),
    "metrics": ("keras", "tf_keras", "tensorflow"),
    "report": ("keras", "tf_keras", "tensorflow"),
}

# Modules that a command's --help or a bare `import tfsep` may load: no slow library at module level.
LIGHT = ("tfsep.errors", "tfsep.axes", "tfsep.audio.files", "tfsep.audio.resample", "tfsep.metrics", "tfsep.cli")
SLOW = ("tensorflow", "tensorflow_probability", "tf_keras", "keras", "matplotlib")


def problems(path: str, source: str) -> list[str]:
    """Return one sentence for each rule that a module breaks; ``path`` is relative to the repository."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    tree = ast.parse(source)
    package = module if path.endswith("/__init__.py") else module.rpartition(".")[0]
    found = list(_house_problems(module, set(_imports(tree.body, package, everywhere=True))))
    found += _library_problems(module, tree, package)
    lines = source.count("\n")
    if lines > MOST_LINES:
        found.append(f"{path} has {lines} lines, more than {MOST_LINES}: one idea a file")
    return found


def _house_problems(module: str, targets: set[str]) -> Iterator[str]:
    """Check the imports of other parts of tfsep."""
    if module == "tfsep":
        return
    room = module.split(".")[1]
    if room not in FLOOR_OF:
        yield f"tfsep.{room} stands on no floor"
        return
    for target in sorted(targets):
        if target == "tfsep":
            yield f"{module} imports the whole of tfsep, which hides what it uses"
        if not target.startswith("tfsep.") or target == "tfsep.__version__":
            continue
        other = target.split(".")[1]
        if other not in FLOOR_OF:
            yield f"{module} imports {target}, which stands on no floor"
        elif other != room and FLOOR_OF[other] > FLOOR_OF[room]:
            yield f"{module} imports {target}, a higher floor"
        elif other != room and FLOOR_OF[other] == FLOOR_OF[room]:
            yield f"{module} imports {target}, its sibling"
        for closed, door in CLOSED.get(room, {}).items():
            if _within(target, closed) and not (door and _within(target, door)):
                yield f"{module} imports {target}; " + (f"it may know {door} only" if door else f"{closed} is closed")


def _library_problems(module: str, tree: ast.Module, package: str) -> Iterator[str]:
    """Check the imports of libraries, at module level and inside functions."""
    room = module.partition(".")[2].split(".")[0]
    for target in sorted(set(_imports(tree.body, package, everywhere=True)) | set(_keras_by_attribute(tree))):
        library = target.split(".")[0]
        if target.startswith("tensorflow.keras"):
            library = "keras"
        if library in HOMES and not any(_within(module, home) for home in HOMES[library]):
            yield f"{module} imports {library}, which belongs in {' and '.join(HOMES[library])}"
        if library in BANNED.get(room, ()):
            yield f"{module} imports {library}, which {room} does without"
    if module == "tfsep" or any(_within(module, light) for light in LIGHT):
        for target in sorted(set(_imports(tree.body, package, everywhere=False))):
            if target.split(".")[0] in SLOW:
                yield f"{module} imports {target} at module level"
            if module == "tfsep" and target.startswith("tfsep."):
                yield f"tfsep imports {target} at module level"


def _imports(body: list[ast.stmt], package: str, everywhere: bool) -> Iterator[str]:
    """Yield the full name of everything imported; without ``everywhere``, only what importing the module runs."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif everywhere:
            yield from _by_name(node)
        if everywhere or not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _only_for_types(node)):
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from _imports(getattr(node, field, []), package, everywhere)


def _by_name(node: ast.stmt) -> Iterator[str]:
    """Yield the modules that a simple statement imports by ``import_module("name")``."""
    inner = [] if hasattr(node, "body") else ast.walk(node)
    for call in inner:
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
            if ast.unparse(call.func).split(".")[-1] == "import_module":
                yield str(call.args[0].value)


def _keras_by_attribute(tree: ast.Module) -> Iterator[str]:
    """Yield ``tensorflow.keras`` where the module reaches for ``tf.keras``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "keras" and ast.unparse(node.value) in ("tf", "tensorflow"):
            yield "tensorflow.keras"


def _only_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def misplaced(paths: list[str]) -> list[str]:
    """Return the files whose very name breaks a rule; ``paths`` are relative to the repository."""
    nameless = ("utils.py", "util.py", "common.py", "helpers.py", "misc.py")
    return [
        path
        for path in paths
        if path.split("/")[-1] in nameless or (path.startswith("gin/") and path.endswith("__init__.py"))
    ]


@pytest.mark.parametrize("path", MODULES)
def test_module_keeps_the_rules(path: str) -> None:
    assert problems(path, (REPOSITORY / path).read_text(encoding="utf-8")) == []


def test_no_file_is_misnamed_or_shadows_gin() -> None:
    rooms = ("tfsep", "tests", "benchmarks", "bin", "gin")
    paths = [path for room in rooms for path in (REPOSITORY / room).rglob("*.py")]
    assert misplaced([path.relative_to(REPOSITORY).as_posix() for path in paths]) == []


def test_every_public_name_is_on_a_floor() -> None:
    assert set(tfsep._SUBMODULES) <= set(FLOOR_OF)
    assert all(target.split(".")[1] in FLOOR_OF for target in tfsep._ATTRIBUTES.values())


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("tfsep/audio/a.py", "from tfsep.priors.base import Prior\n", "a higher floor"),
        ("tfsep/audio/a.py", "from tfsep import config\n", "a higher floor"),
        ("tfsep/audio/a.py", "from ..separation import stream\n", "a higher floor"),
        ("tfsep/audio/__init__.py", "from ..data import toy\n", "a higher floor"),
        ("tfsep/data/a.py", "def f():\n    import tfsep.training.loop\n", "a higher floor"),
        ("tfsep/data/a.py", "def f():\n    x = importlib.import_module('tfsep.cli')\n", "a higher floor"),
        ("tfsep/mixing.py", "try:\n    pass\nexcept E:\n    import tfsep.audio\n", "a higher floor"),
        ("tfsep/separation/a.py", "from tfsep.training import loop\n", "a higher floor"),
        ("tfsep/bijectors/a.py", "from tfsep.networks.wavenet import WaveNet\n", "its sibling"),
        ("tfsep/audio/a.py", "from tfsep.metrics import si_sdr\n", "its sibling"),
        ("tfsep/export/a.py", "import tfsep.training.checkpoints\n", "its sibling"),
        ("tfsep/rooms/a.py", "", "stands on no floor"),
        ("tfsep/data/a.py", "from tfsep import Separator\n", "stands on no floor"),
        ("tfsep/cli/a.py", "import tfsep\n", "the whole of tfsep"),
        ("tfsep/posteriors/a.py", "from tfsep.priors.glow import Glow\n", "it may know tfsep.priors.base only"),
        ("tfsep/posteriors/a.py", "from tfsep.priors import build\n", "it may know tfsep.priors.base only"),
        ("tfsep/training/a.py", "from tfsep.data import toy\n", "tfsep.data is closed"),
        ("tfsep/training/a.py", "from tfsep.posteriors import amortised\n", "tfsep.posteriors.base only"),
        ("tfsep/export/a.py", "from tfsep.data.musdb import songs\n", "tfsep.data is closed"),
        ("tfsep/report/a.py", "from tfsep.separation import stream\n", "tfsep.separation is closed"),
        ("tfsep/report/a.py", "import tensorflow as tf\n", "imports tensorflow"),
        ("tfsep/cli/a.py", "def f():\n    import jinja2\n", "imports jinja2"),
        ("tfsep/training/a.py", "import gin\n", "imports gin"),
        ("tfsep/cli/a.py", "def f():\n    from gin import config\n", "imports gin"),
        ("tfsep/config.py", "from absl import flags\n", "imports absl"),
        ("tfsep/priors/a.py", "import matplotlib.pyplot as plt\n", "imports matplotlib"),
        ("tfsep/data/a.py", "import soundfile\n", "imports soundfile"),
        ("tfsep/separation/a.py", "import tensorflow_probability as tfp\n", "imports tensorflow_probability"),
        ("tfsep/audio/a.py", "from keras import ops\n", "imports keras"),
        ("tfsep/mixing.py", "from tensorflow import keras\n", "imports keras"),
        ("tfsep/audio/a.py", "import tensorflow as tf\nx = tf.keras.ops\n", "imports keras"),
        ("tfsep/metrics/a.py", "def f():\n    import tensorflow\n", "imports tensorflow"),
        ("tfsep/__init__.py", "import tensorflow as tf\n", "at module level"),
        ("tfsep/__init__.py", "from tfsep import mixing\n", "at module level"),
        ("tfsep/audio/files.py", "class C:\n    import tensorflow\n", "at module level"),
        ("tfsep/cli/a.py", "with quiet():\n    import keras\n", "at module level"),
        ("tfsep/networks/a.py", "x = 1\n" * (MOST_LINES + 1), "lines, more than"),
    ],
)
def test_a_broken_rule_is_noticed(path: str, source: str, complaint: str) -> None:
    assert any(complaint in problem for problem in problems(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tfsep/cli/a.py", "def f():\n    import tensorflow\n    from tfsep import config\n"),
        ("tfsep/cli/a.py", "if TYPE_CHECKING:\n    import tensorflow\n"),
        ("tfsep/audio/a.py", "from tfsep.audio import stft\nfrom .mel import mel_matrix\nimport tensorflow as tf\n"),
        ("tfsep/mixing.py", "from tfsep.errors import InputError\n"),
        ("tfsep/posteriors/a.py", "from tfsep.priors.base import Prior\nfrom tfsep import mixing\n"),
        ("tfsep/config.py", "import gin\nfrom tfsep.training import loop\n"),
        ("tfsep/priors/a.py", "import keras\nimport tensorflow_probability as tfp\n"),
        ("tfsep/separation/a.py", "from tfsep import __version__\n"),
    ],
)
def test_what_the_rules_allow_passes(path: str, source: str) -> None:
    assert problems(path, source) == []


def test_a_misplaced_file_is_noticed() -> None:
    bad = ["tfsep/audio/utils.py", "tests/common.py", "gin/data/__init__.py"]
    assert misplaced([*bad, "tfsep/audio/__init__.py", "tests/conftest.py"]) == bad
