"""The records of speed as a picture: times faster than each reference, and shares of the machine's peak."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import Record
from benchmarks.speed.rows import TIME

_FASTER, _SLOWER, _SHARE = "#2a7f62", "#b5533c", "#40618c"


def draw(records: Sequence[Record], file: str | Path) -> None:
    """Write a PNG: bars of the paired ratios with their quartiles, and dots of the shares of peak.

    Args:
        records: of the command; those without a ratio are left out.
        file: where it goes.
    """
    from matplotlib.figure import Figure

    shown = [record for record in records if record["kind"] == TIME and "ratio" in record]
    names = [f"{record['row']}\nagainst {record['reference']}" for record in shown]
    figure = Figure(figsize=(11.0, 1.2 + 0.42 * max(len(shown), 1)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    places = list(range(len(shown)))[::-1]
    ratios = [record["ratio"] for record in shown]
    low = [record["ratio"] - record["ratio_quartiles"][0] for record in shown]
    high = [record["ratio_quartiles"][1] - record["ratio"] for record in shown]
    colours = [_FASTER if ratio >= 1.0 else _SLOWER for ratio in ratios]
    left.barh(places, ratios, xerr=[low, high], color=colours, ecolor="#444444", height=0.6)
    left.axvline(1.0, color="#444444", linewidth=1.0)
    left.set_yticks(places, names, fontsize=8)
    left.set_xlabel("reference's time / tfsep's (bars: median of paired rounds; lines: quartiles)")
    shares = [(place, 100 * record["share"]) for place, record in zip(places, shown, strict=True) if "share" in record]
    right.plot([share for _, share in shares], [place for place, _ in shares], "o", color=_SHARE)
    right.set_xlim(0, 100)
    right.set_xlabel("tfsep's share of the matrix product's peak, %")
    for axes in (left, right):
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
    figure.savefig(file, dpi=110)
