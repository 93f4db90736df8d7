from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tfsep import locks
from tfsep.cli import runner
from tfsep.errors import InputError, JobError, TfsepError

REPOSITORY = Path(__file__).resolve().parents[2]


def raises(error: BaseException) -> int:
    def command(argv: Sequence[str]) -> int:
        raise error

    return runner.run(command, [])


def in_a_process(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``body`` as the function ``command(argv)`` of a process of its own."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    code = f"import os, sys\nfrom tfsep.cli import runner\ndef command(argv):\n{lines}sys.exit(runner.run(command))"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_CPP")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=REPOSITORY, env=clean | environment, capture_output=True, text=True, timeout=120)


def test_arguments_and_exit_code_pass_through() -> None:
    seen: list[Sequence[str]] = []

    def command(argv: Sequence[str]) -> int:
        seen.append(argv)
        return 5

    assert runner.run(command, ["a", "b"]) == 5
    assert seen == [["a", "b"]]


def test_no_exit_code_is_success() -> None:
    assert runner.run(lambda argv: None, []) == 0


def test_the_arguments_of_the_process_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tfsep", "x"])
    assert runner.run(lambda argv: len(argv) + 10, None) == 11


@pytest.mark.parametrize(("error", "code"), [(InputError("a"), 2), (JobError("a"), 1), (TfsepError("a"), 1)])
def test_an_error_is_one_line_and_its_own_exit_code(
    error: TfsepError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error.args = ("sample_rate must lie in 1000..384000 Hz,\n  got 1",)
    assert raises(error) == code
    assert capsys.readouterr() == ("", "error: sample_rate must lie in 1000..384000 Hz, got 1\n")


def test_other_exceptions_are_bugs_and_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        raises(ZeroDivisionError())


def test_an_interrupt_is_130() -> None:
    assert raises(KeyboardInterrupt()) == 130


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_a_command_as_an_interrupt_does(tmp_path: Path, name: str, code: int) -> None:
    body = f"""import signal, time
with runner.temporary_files() as folder:
    print(folder)
    signal.raise_signal(signal.{name})
    time.sleep(60)"""
    done = in_a_process(body, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (code, f"ended by {name}\n")
    assert done.stdout.startswith(str(tmp_path)) and list(tmp_path.iterdir()) == []


def test_a_compiler_does_not_keep_a_signal_waiting(tmp_path: Path) -> None:
    body = """import hashlib, os, signal, threading
runner._PATIENCE = 0.5
with runner.temporary_files() as folder:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"""
    done = in_a_process(body, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (143, "SIGTERM: ended in the middle of a computation\n")
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_of_libraries_lie_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "tfsep-tmp-stale").mkdir()
    with runner.temporary_files() as folder, tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == folder
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert tempfile.gettempdir() == str(tmp_path) and list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(JobError, match=r"no temporary folder can be made .*TMPDIR"), runner.temporary_files():
        pass


def test_every_command_removes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "tfsep-tmp-stale").mkdir()
    with locks.temporary_folder() as alive:
        (tmp_path / "tfsep-tmp-old").mkdir()
        assert runner.run(lambda argv: 0, []) == 0
        assert list(tmp_path.iterdir()) == [alive]


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (3, 3), ("a message", 1)])
def test_leaving_is_an_exit_code(code: int | str | None, expected: int) -> None:
    assert raises(SystemExit(code)) == expected


def test_a_wrong_argument_is_one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    def command(argv: Sequence[str]) -> int:
        parser = runner.Parser(prog="separate")
        parser.add_argument("--seed", type=int)
        parser.parse_args(argv)
        return 0

    assert runner.run(command, ["--seed=x"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: argument --seed: invalid int value: 'x'") and err.count("\n") == 1
    assert runner.run(command, ["--seed=1"]) == 0
    assert runner.run(command, ["--help"]) == 0


def test_a_reader_that_leaves_is_no_traceback() -> None:
    code = "import sys; from tfsep.cli import runner\nsys.exit(runner.run(lambda argv: print('line\\n' * 200000)))"
    writer = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.readline()
    writer.stdout.close()
    assert writer.stderr.read() == ""
    writer.stderr.close()
    assert writer.wait(timeout=300) == 1


def test_tensorflow_starts_without_a_word() -> None:
    body = """tf = runner.start_tensorflow()
print(float(tf.function(lambda x: 2 * x, jit_compile=True)(tf.constant(1.5))))
print("mine", file=sys.stderr)"""
    done = in_a_process(body)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3.0\n", "mine\n")


def test_collected_lines_are_shown_on_an_exception() -> None:
    done = in_a_process("with runner.quiet_stderr():\n    os.write(2, b'the cause\\n')\n    raise RuntimeError('stop')")
    assert done.stderr.startswith("the cause\n") and "RuntimeError: stop" in done.stderr


def test_collected_lines_are_dropped_and_stderr_comes_back() -> None:
    done = in_a_process("with runner.quiet_stderr():\n    os.write(2, b'noise\\n')\nos.write(2, b'after\\n')")
    assert (done.returncode, done.stderr) == (0, "after\n")


def test_a_user_who_asks_for_logs_gets_them() -> None:
    body = "with runner.quiet_stderr():\n    os.write(2, b'asked for\\n')"
    assert in_a_process(body, TF_CPP_MIN_LOG_LEVEL="0").stderr == "asked for\n"


def test_compiled_programs_are_kept_and_found_again(tmp_path: Path) -> None:
    body = """
tensorflow = runner.start_tensorflow()
double = tensorflow.function(lambda x: 2.0 * x, jit_compile=True)
print(double(tensorflow.constant(21.0)).numpy())
"""
    for _ in range(2):
        done = in_a_process(body, **{runner.COMPILE_CACHE: str(tmp_path / "programs")})
        assert (done.returncode, done.stdout, done.stderr) == (0, "42.0\n", "")
    assert len(list((tmp_path / "programs").glob("*/*.pb"))) == 1


def test_a_cache_that_cannot_be_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(runner.COMPILE_CACHE, str(tmp_path / "file"))
    assert runner.run(lambda argv: runner.use_compile_cache(), []) == 2
    assert "TFSEP_COMPILE_CACHE must name a folder, got" in capsys.readouterr().err


def test_tensorflow_starts_without_what_keras_imports_for_others() -> None:
    body = """
import importlib
runner.start_tensorflow()
print([name for name in ("sklearn", "matplotlib", "pandas") if name in sys.modules])
for name in ("sklearn", "matplotlib", "pandas"):
    importlib.util.find_spec(name) and importlib.import_module(name)
"""
    done = in_a_process(body)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_what_is_imported_already_is_not_hidden() -> None:
    with runner.absent("argparse", "no_such_package"):
        import argparse

        assert argparse is sys.modules["argparse"]
        with pytest.raises(ImportError):
            import no_such_package  # noqa: F401
    assert "no_such_package" not in sys.modules
