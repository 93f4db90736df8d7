"""Draw the pictures of a page: outlines and curves as SVG in the colours of the page, spectrograms as PNG.

Matplotlib draws with placeholder colours, which become CSS variables in the text of the SVG: one
picture serves light and dark pages.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

from tfsep.report.columns import decibels

RANGE_DB = 80.0
OUTLINE_HEIGHT = 100
NUM_COLOURS = 8
_INK = "#010203"
_SIZE = (8.0, 2.9)


@dataclass(frozen=True)
class Line:
    """One curve of a chart.

    Attributes:
        name: in the legend of the page.
        values: dB, one per column.
        colour: CSS variable that colours it, such as "stem-1" or "ink".
    """

    name: str
    values: np.ndarray
    colour: str


def stem_colour(index: int) -> str:
    """Return the CSS variable that colours stem number ``index``; eight colours are repeated."""
    return f"stem-{index % NUM_COLOURS + 1}"


def chart(times: np.ndarray, lines: Sequence[Line], label: str, lowest: float) -> str:
    """Draw levels over time as an SVG element.

    Args:
        times: seconds, one per column.
        lines: what to draw.
        label: of the vertical axis.
        lowest: dB; nothing is drawn below.
    """
    colours = {name: f"#0101{10 + number:02x}" for number, name in enumerate(dict.fromkeys(x.colour for x in lines))}
    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": label,
            "font.size": 11,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
        }
    ):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        for line in lines:
            axes.plot(times, np.maximum(line.values, lowest), color=colours[line.colour], linewidth=1.4)
        axes.set(xlabel="seconds", ylabel=label, xlim=(0.0, times[0] + times[-1]))
        top = max(float(line.values.max()) for line in lines)
        axes.set_ylim(lowest, max(top, lowest + 10.0) + 3.0)
        axes.grid(color=_INK, alpha=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _adapted(target.getvalue(), {_INK: "ink", **{value: name for name, value in colours.items()}}, label)


def _adapted(svg: str, variables: Mapping[str, str], prefix: str) -> str:
    """Return the svg element alone, scaling with the page, coloured by CSS variables, with its own prefix of ids."""
    svg = svg[svg.index("<svg") :]
    for colour, name in variables.items():
        svg = svg.replace(colour, f"var(--{name})")
    own = re.sub(r"\W+", "-", prefix)
    svg = re.sub(r'\bid="', f'id="{own}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{own}-", svg)
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r' (?:width|height|version|xmlns(?::\w+)?)="[^"]*"', "", head)
    return f'{head} aria-hidden="true">{rest}'


def styles_as_classes(svgs: Sequence[str]) -> tuple[list[str], str]:
    """Replace the style attributes of pictures by classes, which a page may allow by the hash of its style sheet.

    Returns:
        The pictures, and the rules of the classes.
    """
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        return f'class="{names.setdefault(found[1], f"drawn-{len(names)}")}"'

    changed = [re.sub(r'\bstyle="([^"]*)"', named, svg) for svg in svgs]
    return changed, "".join(f".{name} {{ {rules} }}\n" for rules, name in names.items())


def outline_path(outline: np.ndarray, largest: float) -> str:
    """Return a waveform as the ``d`` of an SVG path, one unit per column and -100..100 high.

    Args:
        outline: lowest and highest sample of each column, (2, column).
        largest: the magnitude that reaches the edge.
    """
    scale = OUTLINE_HEIGHT / max(largest, 1e-9)
    lowest, highest = (np.clip(np.round(-scale * row), -OUTLINE_HEIGHT, OUTLINE_HEIGHT) for row in outline)
    lowest = np.maximum(lowest, highest + 1)  # silence is a thin line
    forth = [f"{column} {value:.0f}" for column, value in enumerate(highest)]
    back = [f"{column} {lowest[column]:.0f}" for column in range(len(lowest) - 1, -1, -1)]
    return "M" + "L".join([*forth, *back]) + "Z"


def spectrogram(power: np.ndarray, top_db: float) -> str:
    """Draw a spectrogram (column, row) as a PNG in base64, brightest at ``top_db`` and black 80 dB below."""
    target = io.BytesIO()
    picture, lowest = decibels(power).T, top_db - RANGE_DB
    matplotlib.image.imsave(target, picture, lowest, top_db, cmap="magma", format="png", origin="lower")
    return base64.b64encode(target.getvalue()).decode("ascii")
