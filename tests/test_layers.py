"""The architecture, read from the imports of every module (explained in docs/developing.md).

A package imports lower layers only, packages of one layer do not import each other, no two modules
import each other (``TYPE_CHECKING`` included), and some libraries are imported by one package only.
The rules are the tables below; the second half of the file breaks each of them to show that it is
noticed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfsep

REPOSITORY = Path(__file__).resolve().parents[1]
MODULES = sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "tfsep").rglob("*.py"))
MOST_LINES = 500

# Lowest first. A layer is a set of packages (and modules) that do not import each other.
LAYERS = (
    ("errors", "axes", "bundled"),
    ("mixing", "signatures", "locks", "arguments"),
    ("atomic",),
    ("runtime",),
    ("audio", "metrics", "client"),
    ("data",),
    ("rendering", "networks", "bijectors"),
    ("priors", "baselines"),
    ("posteriors",),
    ("models",),
    ("separation",),
    ("training", "export", "report"),
    ("evaluation",),
    ("prior_test", "recipes"),
    ("config",),
    ("cli",),
)
LAYER_OF = {package: number for number, packages in enumerate(LAYERS) for package in packages}

# Lower layers that a package must not import all the same, and the modules of them that it may.
CLOSED = {
    "posteriors": {"tfsep.priors": "tfsep.priors.base"},
    "training": {
        "tfsep.data": None,
        "tfsep.networks": None,
        "tfsep.bijectors": None,
        "tfsep.baselines": None,
        "tfsep.priors": "tfsep.priors.base",
        "tfsep.posteriors": "tfsep.posteriors.base",
        "tfsep.models": None,
        "tfsep.separation": None,
    },
    "export": {"tfsep.data": None},
    "report": {
        "tfsep.data": None,
        "tfsep.rendering": None,
        "tfsep.networks": None,
        "tfsep.bijectors": None,
        "tfsep.priors": None,
        "tfsep.baselines": None,
        "tfsep.posteriors": None,
        "tfsep.models": None,
        "tfsep.separation": None,
    },
}

# A library on the left is imported only by the modules on the right.
LIBRARIES = {
    "gin": ("tfsep.config",),
    "absl": ("tfsep.cli",),
    "jinja2": ("tfsep.report.page",),
    "matplotlib": (
        "tfsep.evaluation.figures",
        "tfsep.prior_test.figures",
        "tfsep.report.pictures",
        "tfsep.training.summaries",
    ),
    "soundfile": ("tfsep.audio.files", "tfsep.audio.writer"),
    "tensorflow_probability": ("tfsep.bijectors", "tfsep.priors", "tfsep.posteriors.diagnostics"),
}

# A package on the left never imports the libraries on the right.
BANNED = {
    "mixing": ("keras", "tf_keras"),
    "audio": ("keras", "tf_keras"),
    "metrics": ("keras", "tf_keras", "tensorflow"),
    "report": ("keras", "tf_keras", "tensorflow"),
}

# Modules that a command's --help or a bare `import tfsep` may load: no slow library at module level.
LIGHT = (
    "tfsep.errors",
    "tfsep.arguments",
    "tfsep.axes",
    "tfsep.atomic",
    "tfsep.locks",
    "tfsep.runtime.stop_signals",
    "tfsep.signatures",
    "tfsep.audio.files",
    "tfsep.audio.resample",
    "tfsep.metrics",
    "tfsep.posteriors.kinds",
    "tfsep.models.listing",
    "tfsep.models.schema",
    "tfsep.models.rules",
    "tfsep.models.request",
    "tfsep.models.stages",
    "tfsep.models.source_subset",
    "tfsep.separation.names",
    "tfsep.separation.settings",
    "tfsep.cli",
)
SLOW = ("tensorflow", "tensorflow_probability", "tf_keras", "keras", "matplotlib")


def problems(path: str, source: str) -> list[str]:
    """Return one sentence for each rule that a module breaks; ``path`` is relative to the repository."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    tree = ast.parse(source)
    package = module if path.endswith("/__init__.py") else module.rpartition(".")[0]
    found = list(_layer_problems(module, set(_imports(tree.body, package, everywhere=True))))
    found += _library_problems(module, tree, package)
    lines = source.count("\n")
    if lines > MOST_LINES:
        found.append(f"{path} has {lines} lines, more than {MOST_LINES}: one idea a file")
    return found


def _layer_problems(module: str, targets: set[str]) -> Iterator[str]:
    """Check the imports of other parts of tfsep."""
    if module == "tfsep":
        return
    package = module.split(".")[1]
    if package not in LAYER_OF:
        yield f"tfsep.{package} belongs to no layer"
        return
    for target in sorted(targets):
        if target == "tfsep":
            yield f"{module} imports the whole of tfsep, which hides what it uses"
        if not target.startswith("tfsep.") or target == "tfsep.__version__":
            continue
        other = target.split(".")[1]
        if other not in LAYER_OF:
            yield f"{module} imports {target}, which belongs to no layer"
        elif other != package and LAYER_OF[other] > LAYER_OF[package]:
            yield f"{module} imports {target}, a higher layer"
        elif other != package and LAYER_OF[other] == LAYER_OF[package]:
            yield f"{module} imports {target}, its sibling"
        for closed, door in CLOSED.get(package, {}).items():
            if _within(target, closed) and not (door and _within(target, door)):
                yield f"{module} imports {target}; " + (f"it may know {door} only" if door else f"{closed} is closed")


def _library_problems(module: str, tree: ast.Module, package: str) -> Iterator[str]:
    """Check the imports of libraries, at module level and inside functions."""
    package = module.partition(".")[2].split(".")[0]
    for target in sorted(set(_imports(tree.body, package, everywhere=True)) | set(_keras_by_attribute(tree))):
        library = target.split(".")[0]
        if target.startswith("tensorflow.keras"):
            library = "keras"
        if library in LIBRARIES and not any(_within(module, owner) for owner in LIBRARIES[library]):
            yield f"{module} imports {library}, which belongs in {' and '.join(LIBRARIES[library])}"
        if library in BANNED.get(package, ()):
            yield f"{module} imports {library}, which {package} does without"
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


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Return {module: modules of the same set that it imports}, from {path: source}."""
    names = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in sources}
    graph: dict[str, set[str]] = {}
    for module, path in names.items():
        package = module if path.endswith("/__init__.py") else module.rpartition(".")[0]
        targets = _imports(ast.parse(sources[path]).body, package, everywhere=True)
        found = {target if target in names else target.rpartition(".")[0] for target in targets}
        graph[module] = (found & set(names)) - {module}
    return graph


def cycles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other, directly or through others."""
    reached = {module: set(targets) for module, targets in graph.items()}
    for through in graph:
        for targets in reached.values():
            if through in targets:
                targets |= reached[through]
    groups = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return [set(group) for group in groups]


def test_no_modules_import_each_other() -> None:
    assert cycles(import_graph({path: (REPOSITORY / path).read_text(encoding="utf-8") for path in MODULES})) == []


def shape(sources: dict[str, str]) -> str:
    """Return how many packages, modules, cycles between modules and upward imports {path: source} have."""
    packages = sum(path.endswith("/__init__.py") for path in sources)
    groups = cycles(import_graph(sources))
    upward = [each for path, source in sources.items() for each in problems(path, source) if "higher layer" in each]
    return f"{packages} packages, {len(sources)} modules, {len(groups)} cycles, {len(upward)} upward imports"


def test_the_architecture_has_neither_cycles_nor_upward_imports() -> None:
    """Print the counts too: ``pytest -s tests/test_layers.py -k neither``."""
    found = shape({path: (REPOSITORY / path).read_text(encoding="utf-8") for path in MODULES})
    print(found)
    assert found.endswith("modules, 0 cycles, 0 upward imports") and int(found.split()[0]) > 20


def test_the_counts_are_those_of_the_sources() -> None:
    sources = {
        "tfsep/__init__.py": "",
        "tfsep/audio/__init__.py": "from tfsep.data import toy\n",
        "tfsep/data/__init__.py": "",
        "tfsep/data/toy.py": "import tfsep.audio.mel\n",
        "tfsep/audio/mel.py": "import tfsep.data.toy\n",
    }
    assert shape(sources) == "3 packages, 5 modules, 1 cycles, 2 upward imports"


def test_every_package_is_in_a_layer_and_every_layer_exists() -> None:
    parts = {path.split("/")[1].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert parts == set(LAYER_OF)


def test_a_cycle_is_noticed_also_where_it_is_for_types_only() -> None:
    sources = {
        "tfsep/a/__init__.py": "",
        "tfsep/a/b.py": "from tfsep.a import c\n",
        "tfsep/a/c.py": "if TYPE_CHECKING:\n    from tfsep.a.d import D\n",
        "tfsep/a/d.py": "def f():\n    import tfsep.a.b\n",
    }
    assert cycles(import_graph(sources)) == [{"tfsep.a.b", "tfsep.a.c", "tfsep.a.d"}]


def test_the_page_on_developing_has_these_layers() -> None:
    page = (REPOSITORY / "docs" / "developing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| ([^|]*) \|", page, re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(packages) for packages in LAYERS]


def test_no_file_is_misnamed_or_shadows_gin() -> None:
    packages = ("tfsep", "tests", "benchmarks", "bin", "gin")
    paths = [path for package in packages for path in (REPOSITORY / package).rglob("*.py")]
    assert misplaced([path.relative_to(REPOSITORY).as_posix() for path in paths]) == []


def test_every_public_name_is_in_a_layer() -> None:
    assert set(tfsep._SUBMODULES) <= set(LAYER_OF)
    assert all(target.split(".")[1] in LAYER_OF for target in tfsep._ATTRIBUTES.values())


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("tfsep/audio/a.py", "from tfsep.priors.base import Prior\n", "a higher layer"),
        ("tfsep/audio/a.py", "from tfsep import config\n", "a higher layer"),
        ("tfsep/audio/a.py", "from ..separation import stream\n", "a higher layer"),
        ("tfsep/audio/__init__.py", "from ..data import toy\n", "a higher layer"),
        ("tfsep/data/a.py", "def f():\n    import tfsep.training.loop\n", "a higher layer"),
        ("tfsep/data/a.py", "def f():\n    x = importlib.import_module('tfsep.cli')\n", "a higher layer"),
        ("tfsep/mixing.py", "try:\n    pass\nexcept E:\n    import tfsep.audio\n", "a higher layer"),
        ("tfsep/separation/a.py", "from tfsep.training import loop\n", "a higher layer"),
        ("tfsep/bijectors/a.py", "from tfsep.networks.wavenet import WaveNet\n", "its sibling"),
        ("tfsep/audio/a.py", "from tfsep.metrics import si_sdr\n", "its sibling"),
        ("tfsep/export/a.py", "import tfsep.training.checkpoints\n", "its sibling"),
        ("tfsep/packages/a.py", "", "belongs to no layer"),
        ("tfsep/data/a.py", "from tfsep import Separator\n", "belongs to no layer"),
        ("tfsep/cli/a.py", "import tfsep\n", "the whole of tfsep"),
        ("tfsep/posteriors/a.py", "from tfsep.priors.flows.glow import Glow\n", "it may know tfsep.priors.base only"),
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
