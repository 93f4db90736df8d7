"""Train a model as gin files describe, train its priors further, or add to it (train, fine_tune, match_scores, refine).

Everything goes to SAVE_DIR: checkpoints, training curves and TensorBoard events in one folder per
model, the gin configuration in use as config.gin, and run.json, by which a later call knows the run
again. The same command resumes where it stood; a folder trained with another configuration or seed
is refused, and so is one in which another process is training. With --noresume the models that this
command trained there before are removed first, and no other file. Progress goes to stderr, a line
per model to stdout.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from tfsep import locks
from tfsep.atomic import write_text
from tfsep.cli import runner
from tfsep.errors import InputError, JobError

CONFIG = "config.gin"
RUN = "run.json"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parse = runner.Parser(prog="train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--gin_file", action="append", default=[], metavar="FILE", help="what to train; may be repeated, later win")
    add("--gin_param", action="append", default=[], metavar="NAME=VALUE", help="one setting, over those of the files")
    add("--gin_search_path", action="append", default=[], metavar="DIR", help="where gin files and includes may lie")
    add(
        "--list_parameters",
        nargs="?",
        const="",
        metavar="NAME",
        help="print what NAME takes in gin files, or all names",
    )
    add("--save_dir", metavar="DIR", help="default: runs/ and the name of the last gin file")
    add("--seed", type=int, default=0, metavar="N", help="initial weights, data and noise (default: 0)")
    add("--resume", action="store_true", default=True, help="go on from the last checkpoint (default)")
    add("--noresume", "--no-resume", dest="resume", action="store_false", help="start over")
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_train, argv)


def _train(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    if args.list_parameters is not None:
        return _list(args.list_parameters)
    if not args.gin_file:
        raise InputError("--gin_file must be given at least once (see train --help)")
    if not 0 <= args.seed < 2**32:
        raise InputError(f"--seed must lie in 0..4294967295, got {args.seed}")
    save_dir = Path(args.save_dir) if args.save_dir else Path("runs") / Path(args.gin_file[-1]).stem
    from tfsep import config

    settings = config.read(args.gin_file, args.gin_param, args.gin_search_path)
    runner.start_tensorflow()
    config.register()
    config.apply(settings)
    from tfsep.training.loop import WORK

    with locks.only_one(save_dir, WORK):
        try:
            _run(save_dir, args.seed, args.resume)
        except OSError as error:
            raise JobError(f"cannot write {error.filename or save_dir}: {error.strerror or error}") from error
        _report(save_dir)
    return 0


def _run(save_dir: Path, seed: int, resume: bool) -> None:
    """Call what the configuration sets, in a folder that is this process's alone."""
    from tfsep import config

    claim(save_dir, seed, config.bindings(), resume)
    _write_config(save_dir)
    try:
        bound = {name.partition(".")[0] for name in config.bindings()}
        run = next((name for name in ("fine_tune", "match_scores", "refine") if name in bound), "train")
        config.call(run, lambda: _write_config(save_dir), save_dir=save_dir, seed=seed, resume=resume)
    finally:
        _write_config(save_dir)


def _list(name: str) -> int:
    """Print the parameters of a name, or all names."""
    runner.start_tensorflow()
    from tfsep import config

    config.register()
    print(config.list_parameters(name) if name else config.list_names())
    return 0


def claim(save_dir: Path, seed: int, bindings: dict[str, str], resume: bool) -> None:
    """Make a folder that of a run with this seed and these settings; without ``resume``, clear an earlier run there.

    Args:
        save_dir: the folder.
        seed: 0..2^32 - 1.
        bindings: settings, as :func:`tfsep.config.bindings` gives them.
        resume: go on with an earlier run there.

    Raises:
        InputError: the folder holds models of a run with another seed or another setting that
            decides the outcome, or a config.gin that is not this command's.
    """
    from tfsep.training.checkpoints import DESCRIPTION, clear_run

    file = save_dir / RUN
    now = {"seed": seed, "settings": bindings}
    if file.is_file() and resume and any(save_dir.glob(f"*/{DESCRIPTION}")):
        _refuse_difference(save_dir, _read(file), now)
    elif file.is_file() and not resume:
        clear_run(save_dir)
    elif not file.is_file() and (save_dir / CONFIG).exists():
        raise InputError(
            f"{save_dir} holds a {CONFIG} and no {RUN}: no training of this command; give another --save_dir"
        )
    save_dir.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(now, indent=1))


def _read(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON; use --noresume or another --save_dir") from error
    return content if isinstance(content, dict) else {}


def _refuse_difference(save_dir: Path, before: dict[str, object], now: dict[str, object]) -> None:
    old, new = _decisive(before), _decisive(now)
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            change = f"{name} was {old.get(name, 'not set')}, is {new.get(name, 'not set')}"
            raise InputError(f"{save_dir} holds another training: {change}; use --noresume or another --save_dir")


def _decisive(run: dict[str, object]) -> dict[str, str]:
    """Return the seed and the settings that decide which weights come out, in the present spelling."""
    from tfsep import config
    from tfsep.training.task import FREE

    settings = run.get("settings")
    free = {f"fit.{name}" for name in FREE}
    kept = config.normalised(settings).items() if isinstance(settings, dict) else ()
    return {"seed": str(run.get("seed")), **{name: value for name, value in kept if name.split("/")[-1] not in free}}


def _write_config(save_dir: Path) -> None:
    from tfsep import config

    settings = "".join(f"{name} = {value}\n" for name, value in config.bindings().items())
    write_text(save_dir / CONFIG, config.operative_config() or settings)


def _report(save_dir: Path) -> None:
    """Print the last line of every model's training curve."""
    from tfsep.training.checkpoints import CURVE
    from tfsep.training.summaries import read_curve

    for curve in sorted(save_dir.glob(f"*/{CURVE}")):
        lines, _ = read_curve(curve)
        last = next((line for line in reversed(lines) if "loss" in line), None)
        if last is not None:
            hidden = ("step", "gradient_norm", "learning_rate", "seconds_per_step", "restores")
            values = [f"{k} {v:.5g}" for k, v in last.items() if k not in hidden and isinstance(v, int | float)]
            print(f"{curve.parent}: {last['step']} steps, {', '.join(values)}")
