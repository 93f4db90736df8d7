"""The record of a prior test as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_text(record: Mapping[str, Any]) -> str:
    """The most important tables of a record of :func:`tfsep.prior_test.run.run`."""
    lines = [
        f"{record['model']} on {record['data']}: {record['num_examples']} cuts a source, seed {record['seed']}, domain "
        f"{record['domain']}, {level(record['sigma'])}"
    ]
    for name, text in (("without_density", "only a score, no density"), ("without_noise", "no noise level")):
        if record[name]:
            lines.append(f"{text}: {', '.join(record[name])}")
    if record["log_prob"]:
        lines += ["", "mean log-density in nats per dimension; compare down a column", *_cross(record)]
    lines += ["", *_methods(record), "", *_denoising(record["denoising"])]
    silent = record["silence_is_likelier"] or ["none"]
    lines += ["", f"priors under which silence is likelier than the own source: {', '.join(silent)}"]
    if record["gibbs_bound"]:
        worst = max(value - bound for rows in record["gibbs_bound"].values() for _, value, bound in rows)
        lines.append(f"Gibbs' bound: nearest {worst:+.3f} nats per dimension (above 0 is no density)")
    return "\n".join([*lines, f"{record['seconds']:.0f} s"])


def level(sigma: float | None) -> str:
    """A noise level in words."""
    return "no noise" if sigma is None else f"sigma {sigma:g}"


def _cross(record: Mapping[str, Any]) -> list[str]:
    sources = list(record["log_prob"])
    lines = [_row("prior \\ source", sources)]
    lines += [_row(prior, [f"{row[source]:.3f}" for source in sources]) for prior, row in record["log_prob"].items()]
    if "ideal" in record and record["ideal"]["domain"] == record["domain"]:
        lines.append(_row("ideal, own", [f"{record['ideal']['log_prob'][s][s]:.3f}" for s in sources]))
    for row in record["by_sigma"]:
        shares = [f"{100 * row['accuracy_per_source'][source]:.1f}%" for source in sources]
        cell = f"accuracy {100 * row['accuracy']:.1f}%, AUROC {row['mean_auroc']:.3f}"
        lines.append(_row(level(row["sigma"]), shares) + f"  {cell}")
    return lines


def _methods(record: Mapping[str, Any]) -> list[str]:
    lines = [_row("method", ["accuracy", "AUROC", "silence"])]
    rows = {**record.get("scores", {}), **({"ideal prior": record["ideal"]} if "ideal" in record else {})}
    for method, row in rows.items():
        silent = ", ".join(row.get("silence_is_likelier", [])) or "-"
        lines.append(_row(method, [f"{100 * row['accuracy']:.1f}%", f"{row['mean_auroc']:.3f}", silent]))
    return lines


def _denoising(table: Mapping[str, Any]) -> list[str]:
    lines = [_row("denoising rmse", [f"sigma {sigma:g}" for sigma in table["sigmas"]])]
    for name, values in table["mean"].items():
        lines.append(_row(name, [number(value) for value in values]))
    for name, values in table.get("ratio_to_ideal", {}).items():
        lines.append(_row(f"{name} / ideal", [number(value) for value in values]))
    return lines


def number(value: float | None) -> str:
    """Four digits, or a dash for what is not known."""
    return "-" if value is None else f"{value:.4g}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:18}" + "".join(f"{cell:>12}" if len(cell) < 12 else f"   {cell}" for cell in cells)
