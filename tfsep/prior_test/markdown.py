"""Records of prior tests as Markdown tables, for the page that a researcher reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfsep.prior_test.text import level, number

Record = Mapping[str, Any]


def cross_likelihood(record: Record) -> str:
    """Mean log-densities at the headline's noise level; the best of each column is bold."""
    return matrix(record["log_prob"])


def matrix(means: Mapping[str, Mapping[str, float]]) -> str:
    """{prior: {source: mean}} as a table; the best of each column is bold."""
    sources = list(next(iter(means.values())))
    best = {source: max(means, key=lambda prior: means[prior][source]) for source in sources}
    rows = []
    for prior, row in means.items():
        cells = [f"**{row[s]:.3f}**" if best[s] == prior else f"{row[s]:.3f}" for s in sources]
        rows.append([prior, *cells])
    return grid(["prior \\ source", *sources], rows)


def noise(record: Record) -> str:
    """Accuracy and AUROC at every noise level."""
    sources = list(record["log_prob"])
    rows = []
    for row in record["by_sigma"]:
        shares = [percent(row["accuracy_per_source"][source]) for source in sources]
        rows.append([level(row["sigma"]), percent(row["accuracy"]), f"{row['mean_auroc']:.3f}", *shares])
    if "ideal" in record:
        shares = [percent(record["ideal"]["accuracy_per_source"][source]) for source in sources]
        ideal = f"ideal prior, {level(record['ideal']['sigma'])}"
        rows.append([ideal, percent(record["ideal"]["accuracy"]), f"{record['ideal']['mean_auroc']:.3f}", *shares])
    return grid(["", "accuracy", "mean AUROC", *sources], rows)


def strange(record: Record) -> str:
    """What is no source, under every prior: mean log-density and how surely an own cut scores above it."""
    sources = list(record["log_prob"])
    rows = [["own source", *(f"{record['log_prob'][source][source]:.3f}" for source in sources)]]
    for name, row in record["out_of_distribution"].items():
        rows.append([name.replace("_", " "), *(f"{row[s]['mean']:.3f} ({row[s]['auroc']:.2f})" for s in sources)])
    return grid(["mean (AUROC of own above it)", *sources], rows)


def methods(record: Record) -> str:
    """Accuracy, AUROC and what silence does, for every way to read the priors."""
    rows = []
    named = dict(record["scores"])
    if "referee" in record:
        named["referee (a classifier)"] = record["referee"]["cuts"]
    for name, row in named.items():
        silent = ", ".join(row["silence_is_likelier"]) or "none" if "silence_is_likelier" in row else "-"
        areas = [f"{row['auroc'][source]:.3f}" for source in record["log_prob"]]
        rows.append([name.replace("_", " "), percent(row["accuracy"]), f"{row['mean_auroc']:.3f}", *areas, silent])
    heads = ["mean AUROC", *(f"of {source}" for source in record["log_prob"])]
    return grid(["method", "accuracy", *heads, "silence above the own source under"], rows)


def confusion(record: Record) -> str:
    """How many cuts of each source every prior wins."""
    rows = [[source, *map(str, counts.values())] for source, counts in record["confusion"].items()]
    return grid(["source \\ likeliest under", *record["confusion"]], rows)


def shifts(record: Record) -> str:
    """What a change that leaves a sound what it is takes off its log-density, mean over sources."""
    study = record["peakedness"]
    sigmas = list(dict.fromkeys(row["sigma"] for row in study["priors"]))
    rows = []
    for path, unit in (("delay", "samples later"), ("cents", "cents higher"), ("decibels", "dB louder")):
        at = study["priors"][0]["paths"][path]["at"]
        for place, step in enumerate(at):
            if step:
                cells = [_losses(study, path, at.index(0), place, sigma) for sigma in sigmas]
                rows.append([f"{step:g} {unit}", *cells])
    return grid(["nats per dimension lost (by the ideal prior)", *(f"sigma {sigma:g}" for sigma in sigmas)], rows)


def _losses(study: Record, path: str, start: int, place: int, sigma: float) -> str:
    """The mean loss under the priors and, in brackets, under the ideal ones."""
    found = []
    for who in ("priors", "ideal"):
        nats = [row["paths"][path]["nats"] for row in study.get(who, []) if row["sigma"] == sigma]
        found += [number(sum(each[start] - each[place] for each in nats) / len(nats))] if nats else []
    return found[0] + (f" ({found[1]})" if len(found) > 1 else "")


def axes(record: Record) -> str:
    """One line: discrimination, smoothness and sharpness of one model."""
    curvature = dict(map(tuple, record["peakedness"]["curvature"]["priors"]))[0.1]
    errors, place = record["denoising"]["mean"], record["denoising"]["sigmas"].index(0.5)
    ratio = record["scores"]["likelihood_ratio"]["mean_auroc"]
    gains = [row["tweedie"] for row in record["single"]["rows"] if row["sigma"] == 0.5]
    cells = [percent(record["accuracy"]), f"{record['mean_auroc']:.3f}", f"{ratio:.3f}", number(curvature)]
    cells += [f"{errors['prior'][place] / errors['wiener'][place]:.2f}", f"{sum(gains) / len(gains):.1f}"]
    heads = ["accuracy", "mean AUROC", "of the likelihood ratio", "curvature x sigma^2 at 0.1"]
    heads += ["denoising rmse over Wiener's at 0.5", "SNR gain at 0.5, dB"]
    return grid(heads, [cells])


def denoising(record: Record) -> str:
    """Root mean square errors over noise levels, and their ratio to the ideal prior's."""
    table = record["denoising"]
    rows = []
    for name, values in table["mean"].items():
        ratios = table.get("ratio_to_ideal", {}).get(name, [None] * len(values))
        cells = [number(v) + (f" ({r:.1f} x)" if r is not None else "") for v, r in zip(values, ratios, strict=True)]
        rows.append([name, *cells])
    return grid(["rmse (over the ideal prior's)", *(f"sigma {sigma:g}" for sigma in table["sigmas"])], rows)


def published(record: Record) -> str:
    """The published reading: one row for each weight of the log-determinant."""
    rows = []
    for each in record["published"]["readings"]:
        excess = max(each["gibbs_excess"].values())
        rows.append([f"{each['weight']:g}", percent(each["accuracy"]), f"{each['mean_auroc']:.3f}", f"{excess:+.3f}"])
    heads = ["weight of the log-determinant", "accuracy", "mean AUROC", "most above Gibbs' bound, nats per dimension"]
    return grid(heads, rows)


def peakedness(record: Record) -> str:
    """Curvature and dips by noise level, mean over sources, the ideal prior's beside."""
    study = record["peakedness"]
    rows = []
    for who in ("priors", "ideal"):
        for sigma, curvature in study["curvature"].get(who, []):
            same = [row for row in study.get(who, []) if row["sigma"] == sigma]
            dips = [_mean([row.get(name) for row in same]) for name in ("dip", "latent_dip")]
            rows.append([who, f"{sigma:g}", number(curvature), *map(number, dips)])
    return grid(["", "sigma", "largest curvature x sigma^2", "dip of a line", "dip of a line of latents"], rows)


def single(record: Record) -> str:
    """SNR gains in dB of denoising one signal, mean over sources."""
    rows = record["single"]["rows"]
    found = []
    for sigma in dict.fromkeys(row["sigma"] for row in rows):
        same = [row for row in rows if row["sigma"] == sigma]
        cells = [f"{sum(row[name] for row in same) / len(same):.1f}" for name in ("tweedie", "langevin", "wiener")]
        found.append([f"{sigma:g}", *cells])
    return grid(["sigma", "Tweedie", "Langevin draw", "Wiener filter"], found)


def stems(record: Record) -> str:
    """What the classifier takes separated stems for."""
    found = record["referee"]["stems"]
    rows = [[stem, *map(str, counts.values())] for stem, counts in found["confusion"].items()]
    return grid([f"stem ({record['referee']['posterior']}) \\ heard as", *found["confusion"]], rows)


def left_out(record: Record) -> str:
    """Songs, each tested under priors that were trained without it in several ways, and the means over songs."""
    songs = record["songs"]
    names = max((found["accuracy_per_source"] for tests in songs.values() for found in tests.values()), key=len)
    rows = []
    for song, tests in songs.items():
        for way, found in tests.items():
            heard = found["accuracy_per_source"]
            shares = [percent(heard[name]) if name in heard else "-" for name in names]
            method = max(found["scores"], key=lambda name: found["scores"][name]["accuracy"]).replace("_", " ")
            first, *others = _figures([found])
            others[2] += f" ({method})"
            rows.append([song, way, first, *shares, *others])
    for way in dict.fromkeys(way for tests in songs.values() for way in tests):
        tested = [tests[way] for tests in songs.values() if way in tests]
        first, *others = _figures(tested)
        rows.append([f"mean of {len(tested)}", way, first, *["-"] * len(names), *others])
    heads = ["mean AUROC", "of the likelihood ratio", "best of all methods", "referee (a classifier)"]
    return grid(["song left out", "priors", "accuracy", *names, *heads], rows)


def _figures(tests: Sequence[Record]) -> list[str]:
    """Means over tests: accuracy, AUROC, that of the likelihood ratio, the best method's accuracy, the referee's."""
    judges = [found["referee"]["cuts"]["accuracy"] for found in tests if "referee" in found]
    accuracy, auroc = (_mean([found[name] for found in tests]) or 0.0 for name in ("accuracy", "mean_auroc"))
    ratio = _mean([found["scores"]["likelihood_ratio"]["mean_auroc"] for found in tests]) or 0.0
    best = _mean([max(score["accuracy"] for score in found["scores"].values()) for found in tests]) or 0.0
    judge = percent(sum(judges) / len(judges)) if judges else "-"
    return [percent(accuracy), f"{auroc:.3f}", f"{ratio:.3f}", percent(best), judge]


TABLES: dict[str, Callable[[Record], str]] = {
    "cross_likelihood": cross_likelihood,
    "noise": noise,
    "strange": strange,
    "methods": methods,
    "denoising": denoising,
    "published": published,
    "peakedness": peakedness,
    "single": single,
    "stems": stems,
    "left_out": left_out,
    "confusion": confusion,
    "shifts": shifts,
    "axes": axes,
}


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f} %"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
