"""Write the page of a track: one HTML file with its sound, pictures and code, which fetches nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import numpy as np

from tfsep.atomic import replacing
from tfsep.errors import InputError, JobError
from tfsep.locks import temporary_folder
from tfsep.metrics.streaming_si_sdr import LIMIT_DB, SeparationMetric
from tfsep.report import pictures
from tfsep.report.columns import SILENCE_DB, decibels
from tfsep.report.excerpt import Excerpts, playable_rate
from tfsep.report.measure import Measurements, Sound, measure
from tfsep.report.track_files import TrackFiles

DEFAULT_SECONDS = 120.0
MOST_SECONDS = 600.0
_TEMPLATES = Path(__file__).with_name("templates")
_LOWEST_LEVEL_DB = -90.0


@dataclass(frozen=True)
class _Row:
    """One player: its name, its looks, and its sound, which is read when the page is written up to it."""

    name: str
    colour: str
    muted: bool
    sound: Sound
    wave: str
    spread: str | None
    spectrogram: str
    audio: Callable[[], str]


@dataclass(frozen=True)
class _Figure:
    """One chart below the players."""

    title: str
    text: str
    lines: Sequence[pictures.Line]
    svg: str


def write_page(
    path: Path,
    track: TrackFiles,
    model: str,
    settings: Mapping[str, str],
    seconds: float = DEFAULT_SECONDS,
    overwrite: bool = True,
) -> Measurements:
    """Write the report of one track; after an error no file is left.

    Args:
        path: of the HTML file.
        track: the files to report on.
        model: its name.
        settings: how the stems were made, as name and value, in the order of the page.
        seconds: most sound that the page contains, above 0 and at most 600; pictures show as much.
        overwrite: replace a file that is there.

    Returns:
        What was measured.

    Raises:
        InputError: for ``seconds`` out of range.
        JobError: if a file of the track cannot be read or is too short, or the page cannot be
            written.
    """
    if not 0.0 < seconds <= MOST_SECONDS:
        raise InputError(f"a page holds more than 0 and at most {MOST_SECONDS:g} s of sound, got {seconds:g}")
    excerpt_frames = max(1, min(track.frames, round(seconds * track.sample_rate)))
    with temporary_folder() as folder:
        names = ["", *(stem.name for stem in track.stems)]
        with Excerpts(folder, names, track.sample_rate, track.channels) as excerpts:
            measured = measure(track, excerpt_frames, excerpts.write)
        page = _template().generate(_context(track, measured, excerpts, model, settings))
        try:
            with replacing(path, overwrite) as temporary, temporary.open("w", encoding="utf-8") as target:
                target.writelines(page)
        except OSError as error:
            raise JobError(f"{path} cannot be written: {error.strerror}") from error
    return measured


def _template() -> jinja2.Template:
    """Load the template of the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _context(
    track: TrackFiles, measured: Measurements, excerpts: Excerpts, model: str, settings: Mapping[str, str]
) -> dict[str, object]:
    """Return every name that the template uses."""
    metrics = [stem.metric for stem in measured.stems if stem.metric is not None]
    figures = _figures(measured)
    drawn, rules = pictures.styles_as_classes([figure.svg for figure in figures])
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8") + rules
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    return {
        "style": style,
        "style_hash": content_hash(style),
        "script": script,
        "script_hash": content_hash(script),
        "track": track,
        "model": model,
        "settings": settings,
        "rows": _rows(measured, excerpts),
        "figures": [replace(figure, svg=svg) for figure, svg in zip(figures, drawn, strict=True)],
        "mixture": measured.mixture,
        "stems": measured.stems,
        "residual": measured.residual,
        "sampled": any(stem.certainty_db is not None for stem in measured.stems),
        "has_references": any(stem.has_reference for stem in measured.stems),
        "mean_metric": _mean(metrics) if metrics else None,
        "excerpt_seconds": measured.excerpt_frames / track.sample_rate,
        "playable_rate": playable_rate(track.sample_rate),
        "range_db": pictures.RANGE_DB,
        "limit_db": LIMIT_DB,
        "clock": clock,
        "decibel": _decibel,
        "plural": lambda count, noun: f"{count} {noun}" + ("" if count == 1 else "s"),
    }


def content_hash(text: str) -> str:
    """Return how a content security policy names an inline style sheet or script: its SHA-256 in base64."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _mean(metrics: Sequence[SeparationMetric]) -> SeparationMetric:
    """Return the means over stems."""
    return SeparationMetric(float(np.mean([x.si_sdr for x in metrics])), float(np.mean([x.si_sdri for x in metrics])))


def _rows(measured: Measurements, excerpts: Excerpts) -> list[_Row]:
    """Return the players of the page: the mixture, then the stems."""
    sounds = [measured.mixture, *measured.stems]
    largest = max(float(np.abs(sound.outline).max()) for sound in sounds)
    top = float(decibels(max(float(sound.spectrum.max()) for sound in sounds)))
    rows = []
    for index, sound in enumerate(sounds):
        spread = None
        if sound.spread_outline is not None:
            band = np.stack([-sound.spread_outline, sound.spread_outline])
            spread = pictures.outline_path(band, largest)
        rows.append(
            _Row(
                sound.name,
                pictures.stem_colour(index - 1) if index else "ink",
                not index,
                sound,
                pictures.outline_path(sound.outline, largest),
                spread,
                pictures.spectrogram(sound.spectrum, top),
                functools.partial(excerpts.encoded, sound.name if index else ""),
            )
        )
    return rows


def _figures(measured: Measurements) -> list[_Figure]:
    """Return the charts: levels, spread where there are samples, the residual where there is one."""
    colours = [pictures.stem_colour(index) for index in range(len(measured.stems))]
    mixture = pictures.Line("mixture", measured.mixture.curve_db, "ink")
    coloured = list(zip(measured.stems, colours, strict=True))
    levels = [pictures.Line(stem.name, stem.curve_db, colour) for stem, colour in coloured]
    figures = [_figure(measured, "Levels", "Level over the whole track.", [mixture, *levels], _LOWEST_LEVEL_DB)]
    spread = [
        pictures.Line(stem.name, stem.spread_db, colour) for stem, colour in coloured if stem.spread_db is not None
    ]
    if spread:
        text = (
            "Standard deviation of the posterior samples over the whole track: the nearer it comes to the level of its "
            "stem, the less is known of the stem there. The waveforms above show it as an inner band."
        )
        figures.append(_figure(measured, "Uncertainty", text, spread, _LOWEST_LEVEL_DB))
    if measured.residual is not None:
        left = pictures.Line("residual", measured.residual.curve_db, "residual")
        text = f"Mixture minus the written stems, {_decibel(measured.residual.level_db)} of the mixture altogether."
        figures.append(_figure(measured, "Residual", text, [mixture, left], SILENCE_DB))
    return figures


def _figure(measured: Measurements, title: str, text: str, lines: list[pictures.Line], lowest: float) -> _Figure:
    """Draw one chart of levels in dB, nothing below ``lowest``."""
    svg = pictures.chart(measured.times, lines, f"{title.lower()}, dB of full scale", lowest)
    return _Figure(title, text, lines, svg)


def clock(seconds: float) -> str:
    """Format a duration: 0.5 s, 3:07 min, 1:00:00 h."""
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"


def _decibel(value: float) -> str:
    """Format dB to one decimal; a value at or below -200 dB, the lowest level measured, as minus infinity."""
    return "−∞\N{NO-BREAK SPACE}dB" if value <= SILENCE_DB else f"{value:.1f}\N{NO-BREAK SPACE}dB".replace("-", "−")
