"""Make the training data of gin/songs.gin: songs by the built-in composer, tunes of games, loops, and links to stems.

    python -m benchmarks.songs.training_data --stems=../shared/data [--output=songs_data] [--jobs=2]

Writes below ``--output``:

- ``packages``: speakers, loops and guitars of Debian packages (benchmarks.priors.songs_data);
- ``sung``, ``electronic``, ``tunes``: songs of 30 s, one channel at 22,050 Hz, by ``bin/render``;
- a link to each set of ``--stems`` that trains or validates.

All random choices are fixed, so a second run makes the same files. Songs that are there are kept,
so an interrupted run goes on. A song whose singer hardly speaks voiced sounds is left out.

Needs fluidsynth, pyworld (``pip install 'tfsep[singing]'``) and the Debian packages that
benchmarks.priors.songs_data names, besides fluid-soundfont-gm, fluid-soundfont-gs,
timgm6mb-soundfont, musescore-general-soundfont, hydrogen-drumkits, openttd-openmsx and
planetblupi-music-midi.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.priors import songs_data
from tfsep.cli import render, runner
from tfsep.errors import InputError, JobError

SOUNDFONTS = ("FluidR3_GM.sf2", "FluidR3_GS.sf2", "TimGM6mb.sf2", "MuseScore_General.sf3")
FONT_FOLDERS = ("sounds/sf2", "sounds/sf3")
KITS = "hydrogen/data/drumkits"
MIDI = ("games/openttd/baseset/openmsx", "planetblupi/music")
SETS = ("everything_is_free", "rendered", "modules", "lmms", "web", "isolated", "isolated_test")
LEAST_MADE = 0.95
SIZE = ("--seconds=30", "--sample_rate=22050", "--channels=1")


@dataclass(frozen=True)
class Songs:
    """One call of ``bin/render``.

    Attributes:
        name: of the folder.
        number: of songs.
        seed: of all that is drawn.
        synthesised: share of the parts for the built-in synthesiser.
        sung: whether voices sing the leads.
        midi: whether the tunes come from MIDI files.
    """

    name: str
    number: int
    seed: int
    synthesised: float
    sung: bool = True
    midi: bool = False


SONGS = (
    Songs("sung", 60, 31, 0.2),
    Songs("electronic", 60, 32, 0.9),
    Songs("tunes", 40, 33, 0.2, sung=False, midi=True),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_make, argv)


def _make(argv: Sequence[str]) -> int:
    parse = runner.Parser(
        prog="training_data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--stems", required=True, metavar="DIR", help="folder of the sets of stems")
    parse.add_argument("--output", default="songs_data", metavar="DIR", help="where the data go (songs_data)")
    parse.add_argument("--root", default="/usr/share", metavar="DIR", help="where packages lie (default: /usr/share)")
    parse.add_argument("--jobs", type=int, default=2, metavar="N", help="songs at a time (2)")
    args = parse.parse_args(argv)
    stems, output, root = Path(args.stems), Path(args.output), Path(args.root)
    output.mkdir(parents=True, exist_ok=True)
    link_sets(stems, output)
    fonts = found_fonts(root)
    packages, whole = output / "packages", output / "packages.complete"
    if not whole.is_file():
        _checked(songs_data.main([f"--output={packages}", f"--root={root}"]), "benchmarks.priors.songs_data")
        whole.touch()
    midi = collected_midi(root, output / "midi")
    for songs in SONGS:
        given = [*(f"--soundfont={font}" for font in fonts), f"--kits={root / KITS}", *SIZE]
        given += [f"--seed={songs.seed}", f"--songs={songs.number}", f"--synthesised={songs.synthesised}"]
        given += [f"--voices={packages / 'voices'}"] if songs.sung else []
        given += [f"--midi={midi}"] if songs.midi else []
        code = render.main([*given, f"--jobs={args.jobs}", f"--output={output / songs.name}"])
        made = sum(1 for _ in (output / songs.name / "train").glob("*/song.json"))
        if made < LEAST_MADE * songs.number:
            _checked(code, "bin/render")
        print(f"{songs.name}: {made} of {songs.number} songs", file=sys.stderr)
    return 0


def _checked(code: int, command: str) -> None:
    """Raise an error if a command failed; it has said why."""
    if code:
        raise JobError(f"{command} ended with exit code {code}")


def link_sets(stems: Path, output: Path) -> None:
    """Link the sets of stems into the output folder.

    Raises:
        InputError: if one is missing.
    """
    for name in SETS:
        if not (stems / name).is_dir():
            raise InputError(f"--stems must hold the folder {name}, got {stems}")
        link = output / name
        if not link.is_symlink():
            link.symlink_to((stems / name).resolve(), target_is_directory=True)


def found_fonts(root: Path) -> list[Path]:
    """Return the soundfonts.

    Raises:
        InputError: naming one that is not installed.
    """
    found = []
    for name in SOUNDFONTS:
        paths = [root / folder / name for folder in FONT_FOLDERS if (root / folder / name).is_file()]
        if not paths:
            raise InputError(f"the soundfont {name} must lie below {root}; its module's text names the packages")
        found.append(paths[0])
    return found


def collected_midi(root: Path, output: Path) -> Path:
    """Copy the packages' MIDI files into one folder and return it.

    Raises:
        InputError: if a package is not installed.
    """
    output.mkdir(exist_ok=True)
    for folder in MIDI:
        paths = sorted((root / folder).rglob("*.mid"))
        if not paths:
            raise InputError(f"MIDI files must lie below {root / folder}; its module's text names the packages")
        for path in paths:
            shutil.copyfile(path, output / path.name)
    return output


if __name__ == "__main__":
    sys.exit(main())
