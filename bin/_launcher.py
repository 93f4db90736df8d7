"""Start a command of tfsep from a clone, whatever the folder, the symlink or the Python it is called with.

The clone's own environment, ``.venv`` (made by ``make demo`` or ``make test``), is used where it stands; else the
calling Python is, if it has what tfsep needs.
"""

import importlib
import importlib.util
import os
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
ENVIRONMENT = os.path.join(REPOSITORY, ".venv")
# Marks a process that has been moved into .venv already. An -X option dies with the process; a variable would not.
MARK = "tfsep_venv"


def launch(name: str) -> int:
    """Run ``tfsep.cli.<name>`` and return its exit code; on the way the process may be replaced by .venv's Python."""
    enter_environment()
    if not (3, 11) <= sys.version_info[:2] < (3, 14) or importlib.util.find_spec("tensorflow") is None:
        print(
            f"error: tfsep needs Python 3.11 to 3.13 with TensorFlow, got {sys.executable} without; "
            f"`make demo` in {REPOSITORY} sets them up",
            file=sys.stderr,
        )
        return 1
    sys.path[0] = REPOSITORY
    return importlib.import_module("tfsep.cli." + name).main()


def enter_environment() -> None:
    """Replace this process by .venv's Python, unless it is that already or there is none."""
    python = os.path.join(ENVIRONMENT, "bin", "python")
    inside = os.path.realpath(sys.prefix) == os.path.realpath(ENVIRONMENT)
    if not inside and MARK not in sys._xoptions and os.access(python, os.X_OK):
        os.execv(python, [python, "-X", MARK, *sys.argv])
