"""The record of a prior test as tables: for the terminal, and in Markdown for a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tfsep.prior_test.record import CurvatureRow, CurvatureStudy, Discrimination, Means, Record, Songs


def as_text(record: Record) -> str:
    """Format the most important tables of a record of :func:`tfsep.prior_test.run.run` for the terminal."""
    lines = [
        f"{record['model']} on {record['data']}: {record['num_examples']} excerpts a source, seed {record['seed']}, "
        f"domain {record['domain']}, {noise_level(record['sigma'])}"
    ]
    if record["without_density"]:
        lines.append(f"only a score, no density: {', '.join(record['without_density'])}")
    if record["without_noise"]:
        lines.append(f"no noise level: {', '.join(record['without_noise'])}")
    if record["log_prob"]:
        lines += ["", "mean log-density in nats per dimension; compare down a column", *_cross(record)]
    lines += ["", *_detection_scores(record), "", *_denoising(record)]
    silent = record["silence_is_likelier"] or ["none"]
    lines += ["", f"priors under which silence is likelier than their own source: {', '.join(silent)}"]
    if record["gibbs_bound"]:
        worst = max(value - bound for rows in record["gibbs_bound"].values() for _, value, bound in rows)
        lines.append(f"Gibbs' bound: nearest {worst:+.3f} nats per dimension (above 0 is no density)")
    lines += _heat_equation(record)
    return "\n".join([*lines, f"{record['seconds']:.0f} s"])


def noise_level(sigma: float | None) -> str:
    """Name a noise level in words."""
    return "no noise" if sigma is None else f"sigma {sigma:g}"


def _cross(record: Record) -> list[str]:
    sources = list(record["log_prob"])
    lines = [_line("prior \\ source", sources)]
    lines += [_line(prior, [f"{row[source]:.3f}" for source in sources]) for prior, row in record["log_prob"].items()]
    if "ideal" in record and record["ideal"]["domain"] == record["domain"]:
        lines.append(_line("ideal, own", [f"{record['ideal']['log_prob'][s][s]:.3f}" for s in sources]))
    for row in record["by_sigma"]:
        shares = [f"{100 * row['accuracy_per_source'][source]:.1f}%" for source in sources]
        cell = f"accuracy {100 * row['accuracy']:.1f}%, AUROC {row['mean_auroc']:.3f}"
        lines.append(_line(noise_level(row["sigma"]), shares) + f"  {cell}")
    return lines


def _detection_scores(record: Record) -> list[str]:
    lines = [_line("detection score", ["accuracy", "AUROC", "silence"])]
    for name, row in record.get("scores", {}).items():
        lines.append(_shares(name, row, ", ".join(row["silence_is_likelier"])))
    if "ideal" in record:
        lines.append(_shares("ideal prior", record["ideal"], ""))
    return lines


def _shares(name: str, row: Discrimination, silent: str) -> str:
    return _line(name, [f"{100 * row['accuracy']:.1f}%", f"{row['mean_auroc']:.3f}", silent or "-"])


def _denoising(record: Record) -> list[str]:
    table = record["denoising"]
    lines = [_line("denoising rmse", [f"sigma {sigma:g}" for sigma in table["sigmas"]])]
    for name, values in table["mean"].items():
        lines.append(_line(name, [number(value) for value in values]))
    for name, values in table.get("ratio_to_ideal", {}).items():
        lines.append(_line(f"{name} / ideal", [number(value) for value in values]))
    return lines


def _heat_equation(record: Record) -> list[str]:
    """List the relative residuals of every prior, and the priors that have none."""
    if "heat_equation" not in record:
        return []
    study = record["heat_equation"]
    sigmas = sorted({row[0] for rows in study["relative"].values() for row in rows})
    lines = [
        "",
        "residual of the heat equation: 0 for densities that are noised versions of one another, at most 1",
    ]
    if sigmas:
        lines.append(_line("prior", [f"sigma {sigma:g}" for sigma in sigmas]))
    for name, rows in study["relative"].items():
        known = {sigma: relative for sigma, relative, _ in rows}
        lines.append(_line(name, [number(known.get(sigma)) for sigma in sigmas]))
    if study["left_out"]:
        lines.append(f"left out, for want of a log-density or of noise levels: {', '.join(study['left_out'])}")
    return lines


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:18}" + "".join(f"{cell:>12}" if len(cell) < 12 else f"   {cell}" for cell in cells)


def cross_likelihood(record: Record) -> str:
    """Tabulate mean log-densities at the headline's noise level; the best of each column is bold."""
    return matrix(record["log_prob"])


def matrix(means: Means) -> str:
    """Tabulate {prior: {source: mean}}; the best of each column is bold."""
    sources = list(next(iter(means.values())))
    best = {source: max(means, key=lambda prior: means[prior][source]) for source in sources}
    rows = []
    for prior, row in means.items():
        cells = [f"**{row[s]:.3f}**" if best[s] == prior else f"{row[s]:.3f}" for s in sources]
        rows.append([prior, *cells])
    return grid(["prior \\ source", *sources], rows)


def noise(record: Record) -> str:
    """Tabulate accuracy and AUROC at every noise level."""
    sources = list(record["log_prob"])
    found: dict[str, Discrimination] = {noise_level(row["sigma"]): row for row in record["by_sigma"]}
    if "ideal" in record:
        found[f"ideal prior, {noise_level(record['ideal']['sigma'])}"] = record["ideal"]
    rows = []
    for name, row in found.items():
        shares = [percent(row["accuracy_per_source"][source]) for source in sources]
        rows.append([name, percent(row["accuracy"]), area(row["mean_auroc"]), *shares])
    return grid(["", "accuracy", "mean AUROC", *sources], rows)


def out_of_distribution(record: Record) -> str:
    """Tabulate the mean log-density of what is no source, and how surely an own excerpt scores above it."""
    sources = list(record["log_prob"])
    rows = [["own source", *(f"{record['log_prob'][source][source]:.3f}" for source in sources)]]
    for name, row in record["out_of_distribution"].items():
        rows.append([name.replace("_", " "), *(f"{row[s]['mean']:.3f} ({row[s]['auroc']:.2f})" for s in sources)])
    return grid(["mean (AUROC of own above it)", *sources], rows)


def detection_scores(record: Record) -> str:
    """Tabulate accuracy and AUROC of every detection score, and under which priors silence has a higher one."""
    sources = list(record["log_prob"])
    rows = []
    for name, row in record["scores"].items():
        silent = ", ".join(row["silence_is_likelier"]) or "none"
        rows.append([*_areas(name.replace("_", " "), row, sources), silent])
    if "reference_classifier" in record:
        found = record["reference_classifier"]["excerpts"]
        rows.append([*_areas("reference classifier", found, sources), "-"])
    heads = ["mean AUROC", *(f"of {source}" for source in sources)]
    return grid(["detection score", "accuracy", *heads, "silence above its own source under"], rows)


def _areas(name: str, row: Discrimination, sources: Sequence[str]) -> list[str]:
    return [name, percent(row["accuracy"]), area(row["mean_auroc"]), *(area(row["auroc"][s]) for s in sources)]


def confusion(record: Record) -> str:
    """Tabulate how many excerpts of each source are likeliest under every prior."""
    counts = record["confusion"] or {}
    return grid(["source \\ likeliest under", *counts], _counts(counts))


def _counts(counts: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    return [[name, *map(str, row.values())] for name, row in counts.items()]


def shifts(record: Record) -> str:
    """Tabulate what a change that leaves a sound what it is costs its log-density, mean over sources."""
    study = record["curvature"]
    sigmas = list(dict.fromkeys(row["sigma"] for row in study["priors"]))
    rows = []
    for path, unit in (("delay", "samples later"), ("cents", "cents higher"), ("decibels", "dB louder")):
        at = study["priors"][0]["paths"][path]["at"]
        for index, step in enumerate(at):
            if step:
                cells = [_losses(study, path, at.index(0), index, sigma) for sigma in sigmas]
                rows.append([f"{step:g} {unit}", *cells])
    return grid(["nats per dimension lost (by the ideal prior)", *(f"sigma {sigma:g}" for sigma in sigmas)], rows)


def _losses(study: CurvatureStudy, path: str, start: int, index: int, sigma: float) -> str:
    """Format the mean loss under the priors and, in brackets, under the ideal ones."""
    found = []
    for rows in _rows(study).values():
        nats = [row["paths"][path]["nats"] for row in rows if row["sigma"] == sigma]
        found += [number(sum(each[start] - each[index] for each in nats) / len(nats))] if nats else []
    return found[0] + (f" ({found[1]})" if len(found) > 1 else "")


def _rows(study: CurvatureStudy) -> dict[str, list[CurvatureRow]]:
    return {"priors": study["priors"], "ideal": study.get("ideal", [])}


def summary(record: Record) -> str:
    """Tabulate discrimination, smoothness and sharpness of one model in one line."""
    curvature_at = {sigma: mean for sigma, mean in record["curvature"]["mean_curvature"]["priors"]}
    errors, index = record["denoising"]["mean"], record["denoising"]["sigmas"].index(0.5)
    ratio = record["scores"]["likelihood_ratio"]["mean_auroc"]
    gains = [row["tweedie"] for row in record["single"]["rows"] if row["sigma"] == 0.5]
    prior, wiener = errors["prior"][index], errors["wiener"][index]
    over = "-" if prior is None or wiener is None else f"{prior / wiener:.2f}"
    cells = [percent(record["accuracy"]), area(record["mean_auroc"]), area(ratio), number(curvature_at[0.1])]
    heads = ["accuracy", "mean AUROC", "of the likelihood ratio", "curvature x sigma^2 at 0.1"]
    heads += ["denoising rmse over Wiener's at 0.5", "SNR gain at 0.5, dB"]
    return grid(heads, [[*cells, over, f"{sum(gains) / len(gains):.1f}"]])


def denoising(record: Record) -> str:
    """Tabulate root mean square errors over noise levels, and their ratio to the ideal prior's."""
    table = record["denoising"]
    rows = []
    for name, values in table["mean"].items():
        ratios = table.get("ratio_to_ideal", {}).get(name, [None] * len(values))
        cells = [number(v) + (f" ({r:.1f} x)" if r is not None else "") for v, r in zip(values, ratios, strict=True)]
        rows.append([name, *cells])
    return grid(["rmse (over the ideal prior's)", *(f"sigma {sigma:g}" for sigma in table["sigmas"])], rows)


def without_log_det(record: Record) -> str:
    """Tabulate the cross-likelihood with the log-determinant left out or weighted, one row for each weight."""
    rows = []
    for each in record["without_log_det"]["by_weight"]:
        excess = max(each["gibbs_excess"].values())
        rows.append([f"{each['weight']:g}", percent(each["accuracy"]), area(each["mean_auroc"]), f"{excess:+.3f}"])
    heads = ["weight of the log-determinant", "accuracy", "mean AUROC", "most above Gibbs' bound, nats per dimension"]
    return grid(heads, rows)


def curvature(record: Record) -> str:
    """Tabulate curvature and dips by noise level, mean over sources, with the ideal prior's."""
    study = record["curvature"]
    rows = []
    for name, each in _rows(study).items():
        for sigma, mean in study["mean_curvature"].get(name, []):
            same = [row for row in each if row["sigma"] == sigma]
            dips = [_mean([row.get("dip") for row in same]), _mean([row.get("latent_dip") for row in same])]
            rows.append([name, f"{sigma:g}", number(mean), *map(number, dips)])
    return grid(["", "sigma", "largest curvature x sigma^2", "dip of a line", "dip of a line of latents"], rows)


def single(record: Record) -> str:
    """Tabulate SNR gains in dB of denoising one signal, mean over sources."""
    rows = record["single"]["rows"]
    found = []
    for sigma in dict.fromkeys(row["sigma"] for row in rows):
        same = [row for row in rows if row["sigma"] == sigma]
        gains = ([row["tweedie"] for row in same], [row["langevin"] for row in same], [row["wiener"] for row in same])
        found.append([f"{sigma:g}", *(f"{sum(each) / len(each):.1f}" for each in gains)])
    return grid(["sigma", "Tweedie", "Langevin draw", "Wiener filter"], found)


def heat_equation(record: Record) -> str:
    """Tabulate both sides of the heat equation times sigma^2 / D, and the relative residual with its standard error."""
    study = record["heat_equation"]
    rows = []
    for prior, means in record["heat_residual"].items():
        for (sigma, left, right), (_, relative, error) in zip(means, study["relative"][prior], strict=True):
            sides = [f"{left:+.5f}", f"{right:+.5f}"]
            rows.append([prior, f"{sigma:g}", *sides, f"{relative:.3f}", f"{error:.3f}"])
    rows += [[name, *["-"] * 5] for name in study["left_out"]]
    heads = ["left: change with the noise", "right: asked by its shape", "relative residual", "of it by the probes"]
    return grid(["prior", "sigma", *heads], rows)


def stems(record: Record) -> str:
    """Tabulate which source separated stems are classified as."""
    study = record["reference_classifier"]
    counts = study["stems"]["confusion"]
    return grid([f"stem ({study['posterior']}) \\ classified as", *counts], _counts(counts))


def left_out(songs: Songs) -> str:
    """Tabulate songs, each tested under priors that were trained without it, and the means over songs."""
    shares = [found["accuracy_per_source"] or {} for tests in songs.values() for found in tests.values()]
    names = max(shares, key=len)
    rows = []
    for song, tests in songs.items():
        for training, found in tests.items():
            known = found["accuracy_per_source"] or {}
            cells = [percent(known[name]) if name in known else "-" for name in names]
            scores = found["scores"]
            best = max(scores, key=lambda name: scores[name]["accuracy"]).replace("_", " ")
            first, *others = _means_over([found])
            others[2] += f" ({best})"
            rows.append([song, training, first, *cells, *others])
    for training in dict.fromkeys(training for tests in songs.values() for training in tests):
        tested = [tests[training] for tests in songs.values() if training in tests]
        first, *others = _means_over(tested)
        rows.append([f"mean of {len(tested)}", training, first, *["-"] * len(names), *others])
    heads = ["mean AUROC", "of the likelihood ratio", "best of all detection scores", "reference classifier"]
    return grid(["song left out", "priors", "accuracy", *names, *heads], rows)


def _means_over(tests: Sequence[Record]) -> list[str]:
    """Average accuracy, AUROC, that of the likelihood ratio, the best accuracy and the reference classifier's."""
    scores = [found["scores"] for found in tests]
    classified = [found["reference_classifier"]["excerpts"] for found in tests if "reference_classifier" in found]
    return [
        percent(_mean([found["accuracy"] for found in tests])),
        area(_mean([found["mean_auroc"] for found in tests])),
        area(_mean([each["likelihood_ratio"]["mean_auroc"] for each in scores])),
        percent(_mean([max(score["accuracy"] for score in each.values()) for each in scores])),
        percent(_mean([found["accuracy"] for found in classified])),
    ]


#: Tables of one record, by name.
TABLES: dict[str, Callable[[Record], str]] = {
    "cross_likelihood": cross_likelihood,
    "noise": noise,
    "out_of_distribution": out_of_distribution,
    "detection_scores": detection_scores,
    "denoising": denoising,
    "without_log_det": without_log_det,
    "curvature": curvature,
    "heat_equation": heat_equation,
    "single": single,
    "stems": stems,
    "confusion": confusion,
    "shifts": shifts,
    "summary": summary,
}


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float | None) -> str:
    """Format four digits, or a dash for what is not known."""
    return "-" if value is None else f"{value:.4g}"


def percent(value: float | None) -> str:
    """Format a share in percent, or a dash for what is not known."""
    return "-" if value is None else f"{100 * value:.1f} %"


def area(value: float | None) -> str:
    """Format an AUROC, or a dash for what is not known."""
    return "-" if value is None else f"{value:.3f}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
