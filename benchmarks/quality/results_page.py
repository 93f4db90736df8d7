"""Write ``docs/results.md``, and the short table of the README, from the records in ``benchmarks/results``.

    python -m benchmarks.quality.results_page [--results=DIR] [--page=FILE] [--readme=FILE]

Nothing is measured here. Each table of the page is one that a benchmark wrote, below a line that
says what it shows and which command printed it. The rows of the README are chosen in ``CHOSEN``;
their figures come from ``quality.json``.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import records
from benchmarks.records import RESULTS
from tfsep.cli import runner
from tfsep.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "results.md"
README = REPOSITORY / "README.md"
CARD = REPOSITORY / "models" / "songs" / "card.md"
_MARK = re.compile(r"(<!-- table results -->\n).*?(<!-- end -->)", re.DOTALL)
_LEFT_OUT = re.compile(r"^\*\*(\d+\.\d)\*\* in the mean over the four", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """One table of the page.

    Attributes:
        title: heading.
        about: what the table shows, in a sentence or two.
        command: what printed it; empty where a section before says it.
        name: ``<name>.md`` of the results.
        data: of ``quality.md``, the rows of one data set alone, without that column; None for a
            whole file.
        notes: what a reader has to know about single rows, one item each.
    """

    title: str
    about: str
    command: str
    name: str
    data: str | None = None
    notes: tuple[str, ...] = ()


INTRODUCTION = """\
# Results

SI-SDRi is the scale-invariant signal-to-distortion ratio in dB, less that of the mixture taken as
the estimate. Mixtures are held out and drawn from a fixed seed. All rows ran on two CPU cores. The
ideal ratio mask is an oracle: it is computed from the true sources. *Seconds per second* is the
time of a separation over the length of the sound.

Other pages have tables of their own: [the priors themselves](priors.md), [whether priors tell
sources apart](prior_test.md), [speed](speed.md), [training with and without guards](training.md),
[three successes and three failures, with sound](cases/cases.md). The card of each model has its
metrics and the commands that trained it: [toy](../models/toy/card.md),
[toy-flow](../models/toy-flow/card.md), [toy-free](../models/toy-free/card.md),
[toy-score](../models/toy-score/card.md), [songs](../models/songs/card.md).
"""

QUALITY = """\
python -m benchmarks.quality --model=toy --model=toy-flow --model=toy-free --model=songs \\
    --model=runs/toy_mean_field_exchanged/model \\
    --model=runs/toy_refined/model --model=runs/toy_both/model --priors=toy-score --priors=runs/lifting_wave/model \\
    --priors=runs/nice_wave/model --priors=runs/template_wave/model --priors=runs/retrieval_wave/model \\
    --supervised=runs/toy_supervised/model --model=runs/songs_unpaired/model --supervised=runs/songs_supervised/model \\
    --songs=<rendered> --baselines=nmf,hpss"""

SECTIONS = (
    Section(
        "Toy: four oscillators on the piano keys",
        "One sine, sawtooth, square and triangle wave at 16 kHz, each on one of the 88 piano keys, mixed by "
        "their mean. One command prints this table and the next three. It was run in parts with `--only` "
        "and `--limit`, so rows that run priors have fewer mixtures.",
        QUALITY,
        "quality",
        "toy",
        (
            "The bundled model alone is `bin/evaluate --model toy --data toy`.",
            "*sampler* rows start a sampler from noise with the named priors; their *composition*, Gibbs updates, "
            "and *langevin_from_masks* start from the masks of `toy`. *langevin_soft* is Langevin dynamics with the "
            "published soft constraint. *ideal* is the density of the toy generator itself.",
            "*score* is a denoiser (the bundled `toy-score`), *score (retrieval)* one that compares with kept "
            "spectra (`gin/ablations/retrieval_wave.gin`).",
            "*spectral_realnvp* is the flow of the bundled `toy-flow`, whose score is that of conditionals.",
            "*lifting* and *nice* are flows (`gin/lifting_wave.gin`, `gin/ablations/nice_wave.gin`). Their densities "
            "are good, but their gradients lead nowhere from noise, whatever the sampler.",
            "*mean_field* is `gin/ablations/toy_mean_field_exchanged.gin`, a posterior trained on the evidence lower "
            "bound alone. It gives 10.6 dB by its masks and 64.7 dB as a start for Gibbs updates. Without "
            "exchanges of sources while it trains it gives 6.8 dB, and with one random pair a step 8.9 dB.",
            "*toy_refined* puts a waveform refinement and a conditional flow behind the masks of `toy`. *toy_both* "
            "trains them on simulated pairs and on the evidence lower bound together.",
            "*toy_supervised* is the amortised network trained on true pairs (`gin/ablations/toy_supervised.gin`). The "
            "toy's sources are independent, so true pairs teach what simulated ones do.",
            "Intervals that should hold 90 % of the truth hold 91 % for *amortised* of `toy`, and 87 % for "
            "*toy_refined* and *toy_both* (`--calibration` of `bin/evaluate`).",
            "[Cases](cases/cases.md) shows and plays the three best and the three worst of 48 mixtures "
            "of a second by *particles*, the default of `toy` (`python -m benchmarks.quality.cases`). In the worst, "
            "sine and triangle take each other's note in some segments. In two of the three the ideal prior in the "
            "same posterior fails alike, and in all a start at the true sources does not: the search fails.",
            "*particles* finds two sources anew, one beside the other, where Gibbs sweeps leave more than 0.1 % of the "
            "energy. That mends most such failures of the *composition* (the table).",
            "A composition keeps the stages that win on validation mixtures and says which. With Langevin "
            "dynamics as a third stage (`gin/ablations/toy_langevin.gin`), of shorter steps than today's, it printed "
            '"amortised 21.07 dB, gibbs 84.34 dB, langevin 63.57 dB on 64 validation mixtures; keeps amortised '
            '> gibbs".',
        ),
    ),
    Section(
        "Toy at any pitch, decaying",
        "The same four waveforms at any pitch of the piano's range, each with an exponential decay.",
        "",
        "quality",
        "toy-free",
        (
            "The bundled model alone is `bin/evaluate --model toy-free --data toy-free`.",
            "The rows of `toy` show a model outside what it was trained on: it was trained on the 88 keys alone.",
        ),
    ),
    Section(
        "The bundled song",
        "Ten seconds of a real song (CC0). The songs model was trained on its isolated stems, so this is no "
        "held-out test.",
        "",
        "quality",
        "examples",
        (
            "Trained without one of the four real songs, the network gives 5.0 dB on that song in the mean: "
            "8.2, 8.0, 2.8 and 1.2 dB. Stems were brought within 2 dB of their median level, and all four "
            "songs are by one artist ([card](../models/songs/card.md)).",
        ),
    ),
    Section(
        "Rendered songs",
        "Five rendered songs, with other tunes than the training songs.",
        "",
        "quality",
        "rendered",
        (
            "*songs_supervised* was trained on true pairs and *songs_unpaired* on none: the same network, songs "
            "and 1,500 steps.",
            "Intervals that should hold 90 % of the truth hold 86 %.",
            "The songs model uses no priors but in the row *score*, *gibbs*: denoisers alone, one a source.",
            "The flute of [add an instrument](add_an_instrument.md) was trained by itself, and so were the "
            "drums and the bass beside it. Together they give 8.1 dB on eight rendered mixtures of the three, "
            "and 11.5 dB on the flute.",
        ),
    ),
    Section(
        "Songs: what priors add to the masks",
        "Excerpts of a second of songs by other authors, in which two sources sound or more. The stems of the masks "
        "of `songs` are changed in each way that was tried; *from nothing* is separation by priors alone. Songs of "
        "*modules* and *lmms* are for validation, those of *rendered* for reports.",
        "bin/train --gin_file=gin/ablations/stems_conditionals.gin --save_dir=runs/stems_conditionals \\\n"
        "    --gin_param=\"stems.roots=['DIR']\"\n"
        "bin/train --gin_file=gin/ablations/stems_flows.gin --save_dir=runs/stems_flows \\\n"
        "    --gin_param=\"stems.roots=['DIR']\"\n"
        "python -m benchmarks.quality.song_refiners --songs=<modules> --songs=<lmms> --num_excerpts=32 \\\n"
        "    --flows=runs/stems_flows/model\n"
        "python -m benchmarks.quality.song_refiners --songs=<modules> --songs=<lmms> --num_excerpts=32 \\\n"
        "    --priors=runs/stems_conditionals/model\n"
        "python -m benchmarks.quality.song_refiners --songs=<rendered> --num_excerpts=32 \\\n"
        "    --priors=runs/stems_conditionals/model\n"
        "bin/train --gin_file=gin/ablations/stems_glow_long.gin --save_dir=runs/stems_glow_long \\\n"
        "    --gin_param=\"stems.roots=['DIR', 'DIR', 'DIR', 'DIR']\"\n"
        "python -m benchmarks.quality.song_refiners --songs=<modules> --songs=<lmms> --num_excerpts=32 \\\n"
        "    --priors=runs/stems_glow_long/model\n"
        "python -m benchmarks.quality.song_refiners --songs=<rendered> --num_excerpts=32 \\\n"
        "    --priors=runs/stems_glow_long/model",
        "song_refiners",
        notes=(
            "On the validation songs nothing that uses priors is better than the masks, so `--posterior full` of "
            "`songs` keeps the masks alone. The best choice among mask exponents would add half a dB; the priors "
            "do not find it.",
            "*stems_flows* are spectral RealNVPs trained to denoise their source among other stems, 500 steps a "
            "source. *stems_conditionals* are Glows over mel bands, 1,000 steps, with the score of Gaussian "
            "conditionals. *stems_glow_long* are these on twice the channels and four sets of stems, 10,000 steps, "
            "1.6 hours of a core in all. *songs* are the Glows of the bundled model.",
            "Ten times the training on four sets of stems lifts latents from nothing from -6.8 to -1.1 dB on the "
            "validation songs, but not on *rendered*, whose kind was all that *stems_conditionals* learned. The masks "
            "stay ahead.",
        ),
    ),
    Section(
        "Two oscillators, separated by masks trained on the evidence lower bound",
        "Mixtures of a sine and a sawtooth on piano keys. *toy_elbo* learns masks from mixtures and two flow priors, "
        "each trained alone, and sees no pair of a mixture and its sources. *toy_flow_pairs* is the same network "
        "trained on simulated pairs alone, *toy_flow_both* on pairs and bound, each 2,000 steps.",
        "bin/train --gin_file=gin/toy_elbo.gin --save_dir=runs/toy_elbo\n"
        "bin/train --gin_file=gin/ablations/toy_flow_pairs.gin --save_dir=runs/toy_flow_pairs\n"
        "bin/train --gin_file=gin/ablations/toy_flow_both.gin --save_dir=runs/toy_flow_both\n"
        "python -m benchmarks.quality --model=runs/toy_elbo/model --model=runs/toy_flow_pairs/model \\\n"
        "    --model=runs/toy_flow_both/model --only=amortised --only='toy$' --num_mixtures=64",
        "quality",
        "toy: sine, sawtooth",
    ),
    Section(
        "Other numbers of sources",
        "Priors in other numbers, from noise, and nothing is trained: the wavetables of `toy` by Gibbs updates, the "
        "flows of `toy-flow` by particles. Rows with *one added* have a fifth source, a pulse wave, by one more flow. "
        "The flows over spectrograms of *glow_stft* and *realnvp_stft* separate by Langevin dynamics over magnitudes.",
        "python -m benchmarks.quality.sources --num_mixtures=32\n"
        "bin/train --gin_file=gin/ablations/spectral_pulse.gin --save_dir=runs/pulse\n"
        "python -m benchmarks.quality.sources --model=toy-flow --posterior=particles --num_mixtures=64 \\\n"
        "    --pulse=runs/pulse/model\n"
        "bin/train --gin_file=gin/ablations/spectral_free.gin --save_dir=runs/spectral_free\n"
        "python -m benchmarks.quality.sources --model=runs/spectral_free/model --posterior=particles --free \\\n"
        "    --num_mixtures=24\n"
        "bin/train --gin_file=gin/glow_stft.gin --save_dir=runs/glow_stft\n"
        "python -m benchmarks.quality.sources --model=runs/glow_stft/model --posterior=spectral_langevin \\\n"
        "    --only='two sources' --num_mixtures=24\n"
        "bin/train --gin_file=gin/realnvp_stft.gin --save_dir=runs/realnvp_stft\n"
        "python -m benchmarks.quality.sources --model=runs/realnvp_stft/model --posterior=spectral_langevin \\\n"
        "    --only='two sources' --num_mixtures=24",
        "sources",
        notes=(
            "[Cases from noise](cases_from_noise/cases.md) shows and plays the three best and the three worst of eight "
            "mixtures of a second, by the particles of `toy-flow` (`python -m benchmarks.quality.cases "
            "--model=toy-flow --posterior=particles --num_mixtures=8`). In the worst, sine and triangle have each "
            "other's note.",
            "The flows of *spectral_free* were trained before the last change of how their notes are refined, and "
            "measured after it.",
        ),
    ),
    Section(
        "Samplers",
        "Each sampler with the *ideal* prior, the density of the toy generator itself, 512 samples a mixture, "
        "and Langevin dynamics and Gibbs updates with learned priors, 2,048 samples a mixture. The last columns "
        "are diagnostics of the chains at the last noise level (`tfsep.posteriors.diagnostics`).",
        "python -m benchmarks.quality.samplers\n"
        "python -m benchmarks.quality.samplers --model=toy-flow --num_mixtures=24\n"
        "python -m benchmarks.quality.samplers --model=toy-score --num_mixtures=12 --only='Langevin$'",
        "samplers",
        notes=(
            "*Langevin* is the posterior `langevin` with its defaults: the exact constraint, long steps with "
            "consistent noise, four restarts from noise. *Soft as published* is BASIS, 1,000 steps.",
            "From noise each chain of four sources stays in a mode of its own, R-hat is far above 1, and none of "
            "the chains is right. Around the truth they agree. Two sources are mostly found from noise.",
            "Rows of two sources are the mean of all six pairs. *Masks* are those of the model `toy`.",
            "Seconds include what a sampler takes to trace and compile, which is most of them where the priors are "
            "learned and mixtures are few.",
        ),
    ),
    Section(
        "Scores of the flows over waves",
        "What a flow over toy waveforms is worth to a sampler by the gradient of its log-density, by its "
        "conditionals where it has them, and by the gradient after score matching. Trained alike and "
        "shortly; rmse is that of the denoiser, the rest is SI-SDRi of the same Gibbs updates.",
        "python -m benchmarks.priors.flow_scores --train",
        "flow_scores",
        notes=("*nan* says that the updates left the range of numbers.",),
    ),
    Section(
        "Priors of the toy",
        "How well each prior classifies excerpts, removes noise and matches the true density, on 2,048 "
        "held-out excerpts a source. [The page on priors](priors.md) explains the columns and what was "
        "tried.",
        "python -m benchmarks.priors.prior_quality --model=toy --model=runs/lifting_stft/model ...",
        "prior_quality",
        notes=(
            "At sigma 0.02 the learned wavetables classify every excerpt correctly. Their denoising error is "
            "within 1.10 of the ideal prior's at sigma 1 to 0.1, and their log-density less than 0.001 nats per "
            "dimension below it.",
            "The best flows do so too, over waves and over spectrograms, but denoise far worse.",
        ),
    ),
    Section(
        "Training with and without guards",
        "One small Glow, trained at 500 times the usual rate with some guards off; [the page on "
        "training](training.md) explains the rows.",
        "python -m benchmarks.priors.stability",
        "stability",
    ),
    Section(
        "When compilation pays",
        "Langevin dynamics as a plain graph and compiled by XLA: the first call, each further step, and the "
        "length of a call above which compiling wins.",
        "python -m benchmarks.speed.compilation",
        "compilation",
    ),
    Section(
        "What a served model costs",
        "Models as `bin/export` writes them, loaded by TensorFlow alone. *Ready* is the time from the load to the "
        "first answer, warm-up requests included. Requests of one channel stand beside `Separator` in Python. "
        "[The guide](serving.md) explains how to serve.",
        "python -m benchmarks.speed.serving",
        "serving",
        notes=(
            "*Ratio* is a later request over `Separator`, which compiles by XLA where that pays. An export has no XLA.",
            "`toy-free` is not in the table: one of its requests takes minutes, as its search does in Python.",
        ),
    ),
)


@dataclass(frozen=True)
class Chosen:
    """One row of the README, a record of ``quality.json`` in other words.

    Attributes:
        data: of the record.
        model: of the record.
        priors: of the record.
        posterior: of the record.
        mixtures: what a reader calls the data.
        how: what a reader calls model, priors and posterior.
    """

    data: str
    model: str
    priors: str
    posterior: str
    mixtures: str
    how: str


CHOSEN = (
    Chosen("toy", "toy", "wavetable", "particles", "toy, piano keys", "`toy`: networks, then wavetable priors"),
    Chosen("toy", "toy", "-", "amortised", "toy, piano keys", "`toy`: its networks alone"),
    Chosen(
        "toy", "toy", "score", "composition", "toy, piano keys", "the same start, then deep denoisers (`toy-score`)"
    ),
    Chosen("toy", "toy-flow", "spectral_realnvp", "composition", "toy, piano keys", "`toy-flow`: networks, then flows"),
    Chosen("toy-free", "toy-free", "wavetable", "gibbs", "toy, any pitch", "`toy-free`: wavetable priors, from noise"),
    Chosen("rendered", "songs", "-", "amortised", "rendered songs, new tunes", "`songs`: its networks, no priors"),
    Chosen("rendered", "songs", "score", "gibbs", "rendered songs, new tunes", "`songs`: its denoisers, `gibbs`"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return runner.run(_make, argv)


def _make(argv: Sequence[str]) -> int:
    parse = runner.Parser(
        prog="results_page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--results", default=str(RESULTS), metavar="DIR", help="where the records are")
    parse.add_argument("--page", default=str(PAGE), metavar="FILE", help="the page (default: docs/results.md)")
    parse.add_argument("--readme", default=str(README), metavar="FILE", help="whose table is filled (README.md)")
    args = parse.parse_args(argv)
    results, file = Path(args.results), Path(args.readme)
    Path(args.page).write_text(page(results), encoding="utf-8")
    file.write_text(filled(file.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(args.page, file, sep="\n")
    return 0


def page(results: Path) -> str:
    """Return the text of ``docs/results.md``.

    Raises:
        InputError: for a table that ``results`` lacks.
    """
    parts = [INTRODUCTION]
    for section in SECTIONS:
        command = f"```\n{section.command}\n```\n" if section.command else ""
        notes = "".join(f"{_wrapped(note, '* ')}\n" for note in section.notes)
        table = read_table(results, section.name, section.data) + "\n"
        texts = (f"## {section.title}\n", f"{_wrapped(section.about)}\n", command, table, notes)
        parts.append("\n".join(text for text in texts if text))
    return "\n".join(parts)


def _wrapped(text: str, bullet: str = "") -> str:
    indent = " " * len(bullet)
    return textwrap.fill(bullet + text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def read_table(results: Path, name: str, data: str | None = None) -> str:
    """Return a table that a benchmark wrote, or the rows of one data set without their first column.

    Raises:
        InputError: where ``results`` has no such table, or the table no such rows.
    """
    file = results / f"{name}.md"
    if not file.is_file():
        raise InputError(f"the results must hold {name}.md, found none in {results}")
    lines = file.read_text(encoding="utf-8").strip().splitlines()
    if data is None:
        return "\n".join(lines)
    rows = [line for line in lines[2:] if line.startswith(f"| {data} |")]
    if not rows:
        raise InputError(f"{file} must have rows of {data!r}, found none")
    return "\n".join("|" + line.split("|", 2)[2] for line in [*lines[:2], *rows])


def filled(text: str, results: Path) -> str:
    """Return the README with its table of results made anew.

    Raises:
        InputError: where the marks of the table are missing, or a record is.
    """
    found, count = _MARK.subn(lambda mark: f"{mark[1]}\n{chosen_table(results)}\n\n{mark[2]}", text)
    if count != 1:
        raise InputError(f"the README must have one table between the marks of results, found {count}")
    return found


def chosen_table(results: Path, card: Path = CARD) -> str:
    """Return the table of the README: the chosen records, and the songs left out of training by their card.

    Raises:
        InputError: for a record that ``quality.json`` lacks, or a card without its figure.
    """
    known = {
        tuple(record[field] for field in ("data", "model", "priors", "posterior")): record
        for record in records.read(results, "quality")
        if "failed" not in record
    }
    lines = ["| mixtures | separated by | SI-SDRi, dB | ideal ratio mask |", "|---|---|---|---|"]
    for row in CHOSEN:
        key = (row.data, row.model, row.priors, row.posterior)
        if key not in known:
            raise InputError(f"quality.json must hold the record {' '.join(key)}, found none in {results}")
        lines.append(f"| {row.mixtures} | {row.how} | {_mean(known[key])} | {_mean(_mask(known[key]))} |")
    left_out = _LEFT_OUT.search(card.read_text(encoding="utf-8"))
    if left_out is None:
        raise InputError(f"{card} must give the mean over the real songs left out of training, found none")
    songs = "four real songs, each left out of training, stems brought to similar levels"
    lines.append(f"| {songs} | networks like `songs` | {left_out[1]} | - |")
    return "\n".join(lines)


def _mean(metrics: Mapping[str, object]) -> str:
    return f"{metrics['mean_si_sdri']:.1f}"


def _mask(record: Mapping[str, object]) -> Mapping[str, object]:
    """Return the metrics of the ideal ratio mask on the mixtures of a record."""
    baselines = record["baselines"]
    assert isinstance(baselines, Mapping)
    return baselines["ideal_ratio_mask"]


if __name__ == "__main__":
    sys.exit(main())
