"""Render training songs with stems, from MIDI files or from a built-in composer, by fluidsynth and soundfonts.

With --voices, tunes are sung by recorded speech, resynthesised (pip install 'tfsep[singing]'). With --kits, the drums
of every other song are recorded strokes. With --synthesised, a share of the parts without singer is played by a
built-in synthesiser and drum machine, each part with a random sound, and kits play every other of the remaining drums;
with --synthesised 1 neither fluidsynth nor a soundfont is needed.

With --stems, songs that have stems already are made again at other pitches and tempi, track after track.

Writes OUTPUT/SPLIT/TRACK/SOURCE.flac and song.json, which says how a track was made; bin/train reads this layout
(gin/data/stems.gin). A track depends on the seed, the split and its number alone (and on the songs of --stems). Tracks
that are there already are kept, so an interrupted command goes on. The folder of each track is printed to stdout.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from tfsep.cli import runner, terminal
from tfsep.errors import InputError, JobError

if TYPE_CHECKING:
    from tqdm import tqdm

    from tfsep.rendering.render import RenderSettings
    from tfsep.rendering.variants import VariantSettings

BUILTIN = "builtin"
SOURCES = ("drums", "bass", "other", "vocals")
PITCH, TEMPO = 2.0, 1.1
RATES = (44100, 22050)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parse = runner.Parser(prog="render", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--midi", default=BUILTIN, metavar="builtin|DIR", help="built-in composer (default) or a folder of .mid files")
    add("--soundfont", action="append", default=[], metavar="FILE", help="SF2 or SF3; may be repeated, parts draw one")
    add("--voices", metavar="DIR", help="speech, one sub-folder for each speaker, who sings leads (default: none)")
    add("--kits", metavar="DIR", help="drum kits, a sub-folder of strokes each, for every other song (default: none)")
    add(
        "--synthesised",
        type=float,
        default=0.0,
        metavar="X",
        help="share of parts for the built-in synth (0)",
    )
    add("--stems", metavar="DIR", help="vary the songs in DIR/SPLIT/TRACK/SOURCE.flac instead of rendering notes")
    add("--pitch", type=float, default=PITCH, metavar="S", help="with --stems, largest shift in semitones (2)")
    add("--tempo", type=float, default=TEMPO, metavar="X", help="with --stems, largest change as a factor (1.1)")
    programs = "General MIDI program of drums, bass, other or lead, instead of random ones; may be repeated (lead=73)"
    add("--program", action="append", default=[], metavar="GROUP=N", help=programs)
    add("--output", required=True, metavar="DIR", help="where the songs go")
    add("--split", default="train", metavar="NAME", help="sub-folder; other splits get other songs (default: train)")
    add("--songs", type=int, default=10, metavar="N", help="how many (default: 10)")
    add("--seconds", type=float, default=60.0, metavar="S", help="of each song, 1..3600 (default: 60)")
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    add("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="songs at a time (default: all cores)")
    add("--sample_rate", type=int, choices=RATES, default=RATES[0], help="Hz (default: 44100)")
    add("--channels", type=int, choices=(1, 2), default=2, help="of the stems (default: 2)")
    add("--sources", default=",".join(SOURCES), metavar="NAMES", help="names of drums, bass, other and lead")
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_render, argv)


def _render(argv: Sequence[str]) -> int:
    """Render songs in threads, print their folders, and return the exit code."""
    args = parser().parse_args(argv)
    make, failed = _maker(args), 0
    with ThreadPoolExecutor(args.jobs) as pool, _progress(args.songs) as bar:
        waiting = [pool.submit(make, index) for index in range(args.songs)]
        try:
            for done in as_completed(waiting):
                error = done.exception()
                if error is None:
                    bar.write(str(done.result()), file=sys.stdout)
                elif isinstance(error, JobError):
                    failed += 1
                    bar.write(f"error: {terminal.plain(error)}", file=sys.stderr)
                else:
                    raise error
                bar.update()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return JobError.exit_code if failed else 0


def _maker(args: argparse.Namespace) -> Callable[[int], Path]:
    """Return the function that makes song number k; refuse bad arguments before the first song."""
    for name, lowest, highest in (("songs", 1, 99999), ("seed", 0, 2**32 - 1), ("jobs", 1, 256), ("seconds", 1, 3600)):
        if not lowest <= getattr(args, name) <= highest:
            raise InputError(f"--{name} must lie in {lowest}..{highest}, got {getattr(args, name)}")
    if not _is_name(args.split):
        raise InputError(f"--split must be the name of a folder, got {args.split!r}")
    if args.stems is None and (args.pitch, args.tempo) != (PITCH, TEMPO):
        raise InputError("--pitch and --tempo vary the songs of --stems, which is not given")
    if args.stems is not None:
        from tfsep.rendering.variants import vary_song

        return functools.partial(vary_song, _variants(args))
    from tfsep.rendering.render import render_song

    return functools.partial(render_song, _settings(args))


def _variants(args: argparse.Namespace) -> VariantSettings:
    """Return the settings of variants."""
    from tfsep.data import stems
    from tfsep.rendering.variants import VariantSettings

    notes = ("soundfont", "voices", "kits", "synthesised", "program")
    given = [f"--{name}" for name in notes if getattr(args, name)]
    given += ["--midi"] if args.midi != BUILTIN else []
    given += ["--sources"] if args.sources != ",".join(SOURCES) else []
    if given:
        raise InputError(f"--stems varies songs that are rendered already and takes no {', '.join(given)}")
    if not 0.0 <= args.pitch <= 24.0 or not 1.0 <= args.tempo <= 4.0:
        raise InputError(f"--pitch must lie in 0..24 and --tempo in 1..4, got {args.pitch:g} and {args.tempo:g}")
    stems.track_folders(args.stems, args.split)
    names = ("split", "seconds", "seed", "sample_rate", "channels", "pitch", "tempo")
    how = {name: getattr(args, name) for name in names}
    return VariantSettings(Path(args.stems), Path(args.output), **how)


def _settings(args: argparse.Namespace) -> RenderSettings:
    """Return the settings of rendering; all arguments are checked before programs and packages are looked up."""
    from tfsep.rendering import drum_kits, fluidsynth, midi_files, speech
    from tfsep.rendering.render import RenderSettings

    names = tuple(args.sources.split(","))
    if len(names) != 4 or len(set(names)) < 4 or not all(_is_name(name) for name in names):
        raise InputError(f"--sources must be four different names, got {args.sources!r}")
    if not 0.0 <= args.synthesised <= 1.0:
        raise InputError(f"--synthesised must be a share from 0 to 1, got {args.synthesised:g}")
    if not args.soundfont and args.synthesised < 1.0:
        rule = f"--soundfont must be given at least once (Debian: {fluidsynth.DEBIAN_FONTS}), or --synthesised 1"
        raise InputError(f"{rule}, by which none is needed")
    fonts = tuple(fluidsynth.check_soundfont(path) for path in args.soundfont)
    midi: tuple[Path, ...] = ()
    if args.midi != BUILTIN:
        midi = tuple(midi_files.midi_paths(args.midi))
    voices = () if args.voices is None else tuple(speech.singers(args.voices))
    kits = () if args.kits is None else tuple(drum_kits.drum_kits(args.kits))
    programs = _programs(args.program)
    if midi:
        midi_files.package()
    if voices:
        speech.package()
    if args.synthesised < 1.0:
        fluidsynth.program()
    return RenderSettings(
        fonts,
        Path(args.output),
        midi,
        split=args.split,
        seconds=args.seconds,
        seed=args.seed,
        sample_rate=args.sample_rate,
        channels=args.channels,
        sources=names,
        voices=voices,
        kits=kits,
        programs=programs,
        synthesised=args.synthesised,
    )


def _programs(entries: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return programs by group, from GROUP=N."""
    from tfsep.rendering.render import GROUPS

    found: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        group, _, number = entry.partition("=")
        if group not in GROUPS or not number.isdecimal() or int(number) > 127:
            raise InputError(f"--program must be one of {', '.join(GROUPS)}, '=' and 0..127, got {entry!r}")
        found[group] = (*found.get(group, ()), int(number))
    return found


def _is_name(text: str) -> bool:
    """Return whether a text can name a file or folder, and not one elsewhere."""
    return bool(text) and not text.startswith(".") and "/" not in text and "\0" not in text


def _progress(songs: int) -> tqdm:
    """Return a counter of songs, which is shown on terminals only."""
    import tqdm

    return tqdm.tqdm(desc="render", total=songs, unit=" songs", leave=False, disable=None)


if __name__ == "__main__":
    sys.exit(main())
