"""What priors add to the masks of the songs model: every way of using them that was tried, on validation songs.

    python -m benchmarks.quality.song_refiners --songs=DIR [--songs=DIR ...] [--model=songs] [--priors=DIR]
        [--flows=DIR ...] [--num_excerpts=48] [--seed=0] [--only=WORD] [--output=DIR]

Excerpts of a second are cut from the test songs of the folders, where at least two sources sound.
The model's masks separate whole songs; a row says what is done with the stems of an excerpt.
*Mask hypotheses* sharpen or flatten the masks by an exponent, and the priors' log-densities choose
one for each excerpt, or the truth does, which is the limit of such a choice. *Latents* and
*Langevin* are the posteriors over magnitudes with the Glows of the model, or those of ``--priors``
(``gin/ablations/stems_conditionals.gin``), begun at the stems or from nothing. ``--flows`` names
models of flows over waves of short cuts (``gin/ablations/stems_flows.gin``), whose conditionals
sharpen the stems by Jacobi updates in cuts that overlap by half. SI-SDRi in dB, of sources that
sound. Writes ``benchmarks/results/song_refiners.json`` and ``song_refiners.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import records as results
from benchmarks.records import RESULTS, Record
from tfsep.cli import runner
from tfsep.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from tfsep.priors.base import Prior

EXPONENTS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
#: Noise levels of features at which densities compare mask hypotheses, and of waves from which updates begin.
CHOICE_SIGMAS, SHARPENING_SIGMAS = (0.1, 0.3, 1.0), (0.02, 0.1)
MASKS, TRUTH = "masks alone", "mask hypotheses, chosen by the truth"
WITHOUT_PRIORS = (MASKS, TRUTH)
_SOUNDS = 1e-3
_BATCH = 16


@dataclass(frozen=True)
class Excerpts:
    """Excerpts of songs and the stems that masks give.

    Attributes:
        mixture: (excerpt, time).
        sources: (excerpt, source, time), at mixture scale.
        stems: of the masks, of that shape.
        sounds: (excerpt, source), whether a source is louder than an RMS of 0.001.
    """

    mixture: np.ndarray
    sources: np.ndarray
    stems: np.ndarray
    sounds: np.ndarray


#: Excerpts to stems, both at mixture scale.
Refiner = Callable[[Excerpts], "np.ndarray"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parse = runner.Parser(prog="song_refiners", description=__doc__, formatter_class=layout)
    parse.add_argument("--songs", action="append", required=True, metavar="DIR", help="stems with a test split")
    parse.add_argument("--model", default="songs", metavar="NAME|DIR", help="masks and Glows (default: songs)")
    parse.add_argument("--priors", metavar="DIR", help="a model with other Glows")
    parse.add_argument("--flows", action="append", default=[], metavar="DIR", help="flows over waves, repeatable")
    parse.add_argument("--num_excerpts", type=int, default=48, metavar="N", help="of all songs (default: 48)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of excerpts and samplers (default: 0)")
    parse.add_argument("--only", metavar="WORD", help="rows whose name contains this word")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the two files go")
    args = parse.parse_args(argv)
    if args.num_excerpts < 1:
        raise InputError(f"--num_excerpts must be at least 1, got {args.num_excerpts}")
    runner.start_tensorflow()
    from tfsep.models import store

    described = store.describe(args.model)
    priors = [store.load_prior(args.priors or args.model, source) for source in described["sources"]]
    glows = folder_name(args.priors or args.model)
    excerpts = excerpts_of(args.model, args.songs, priors[0], args.num_excerpts, args.seed)
    glow_rows = with_glows(priors, args.seed)
    rows = {**glow_rows, **with_flows(args.flows, described["sources"], args.seed)}
    text = ""
    for name, refine in rows.items():
        if args.only and args.only not in name:
            continue
        began = time.process_time()
        stems = refine(excerpts)
        seconds = (time.process_time() - began) / len(stems)
        used = glows if name in glow_rows and name not in WITHOUT_PRIORS else "-"
        record = {"row": name, "priors": used, **gained(excerpts, stems, described["sources"])}
        record |= {"model": args.model, "songs": "+".join(folder_name(each) for each in args.songs)}
        record |= {"excerpts": len(stems), "seed": args.seed, "cpu_seconds": seconds}
        text = results.keep(args.output, "song_refiners", [record], ("row", "priors", "songs"), table)
        print(f"{name}: {record['mean']:.2f} dB", file=sys.stderr, flush=True)
    print(text)
    return 0


def excerpts_of(model: str, folders: Sequence[str], prior: Prior, num: int, seed: int) -> Excerpts:
    """Separate the test songs by the masks, and draw excerpts of the length of the prior's events.

    Raises:
        InputError: for songs with no excerpt in which two sources sound, or a prior without a length.
    """
    import numpy as np

    from tfsep.audio.resample import resample
    from tfsep.evaluation.mixtures import song_batches
    from tfsep.models import store
    from tfsep.separation.separator import Separator

    separator, length = Separator(store.load_model(model, "amortised")), prior.length
    if length is None:
        raise InputError(f"--priors must know the length of their waveforms, got {prior.describe()}")
    cut: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for folder in folders:
        for batch in song_batches(separator, folder, "test", linear=True):
            sources = resample(batch.references.mean(axis=0), batch.sample_rate, separator.sample_rate)
            mixture = sources.sum(axis=0)
            found = separator(mixture, seed=seed)
            stems = np.stack([found[name] for name in separator.sources])
            for first in range(0, len(mixture) - length + 1, length):
                part = slice(first, first + length)
                cut.append((mixture[part], sources[:, part], stems[:, part]))
    loud = [each for each in cut if (rms(each[1]) > _SOUNDS).sum() >= 2]
    if not loud:
        raise InputError(f"--songs must have excerpts in which two sources sound, got none in {', '.join(folders)}")
    chosen = np.random.default_rng(seed).permutation(len(loud))[:num]
    mixture, sources, stems = (np.stack(part) for part in zip(*(loud[i] for i in chosen), strict=True))
    return Excerpts(mixture, sources, stems, rms(sources) > _SOUNDS)


def rms(waves: np.ndarray) -> np.ndarray:
    """Return the root mean square over the last axis."""
    import numpy as np

    return np.sqrt(np.mean(waves**2, axis=-1))


def gained(excerpts: Excerpts, stems: np.ndarray, sources: Sequence[str]) -> Record:
    """Measure SI-SDRi in dB of the sources that sound: mean, median and the mean of each."""
    import numpy as np

    from tfsep.metrics.si_sdr import si_sdri

    each = np.clip(si_sdri(stems, excerpts.sources, excerpts.mixture[:, np.newaxis]), -100.0, 100.0)
    each_source = {name: each[excerpts.sounds[:, k], k] for k, name in enumerate(sources)}
    values = each[excerpts.sounds]
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "per_source": {name: float(found.mean()) if len(found) else None for name, found in each_source.items()},
    }


def with_glows(priors: Sequence[Prior], seed: int) -> dict[str, Refiner]:
    """Return the rows that use priors over magnitudes."""
    import numpy as np

    def chosen(sigma: float) -> Refiner:
        return lambda excerpts: chosen_hypotheses(excerpts, priors, sigma)

    def spectral(kind: str, warm: bool) -> Refiner:
        from tfsep import posteriors

        def refine(excerpts: Excerpts) -> np.ndarray:
            gains = [1.0] * len(priors)
            sampler = posteriors.build(kind, priors, gains=gains, num_restarts=1 if warm else 2)
            parts = []
            for first in range(0, len(excerpts.mixture), _BATCH):
                part = slice(first, first + _BATCH)
                start = excerpts.stems[part] if warm else None
                parts.append(sampler.sample(excerpts.mixture[part], 1, (seed, first), start)[0].numpy())
            return np.concatenate(parts)

        return refine

    return {
        MASKS: lambda excerpts: excerpts.stems,
        **{f"mask hypotheses, chosen by log p at sigma {sigma:g}": chosen(sigma) for sigma in CHOICE_SIGMAS},
        TRUTH: lambda excerpts: chosen_hypotheses(excerpts, None, 0.0),
        "latents, from the masks": spectral("spectral_latent", warm=True),
        "latents, from nothing": spectral("spectral_latent", warm=False),
        "Langevin over magnitudes, from the masks": spectral("spectral_langevin", warm=True),
        "Langevin over magnitudes, from nothing": spectral("spectral_langevin", warm=False),
    }


def hypotheses(excerpts: Excerpts) -> np.ndarray:
    """Return stems by masks of all exponents: (exponent, excerpt, source, time), each summing to the mixture."""
    import numpy as np
    import tensorflow as tf

    from tfsep.audio.stft import inverse_stft, stft

    framing, length = (2048, 512), excerpts.mixture.shape[-1]
    padded = [[0, 0], [0, -length % framing[1]]]
    mixture = stft(tf.pad(excerpts.mixture, padded), *framing)
    shares = [tf.abs(stft(tf.pad(excerpts.stems[:, k], padded), *framing)) for k in range(excerpts.stems.shape[1])]
    power = tf.stack(shares, axis=1).numpy() + 1e-9
    made = []
    for exponent in EXPONENTS:
        mask = power**exponent / np.sum(power**exponent, axis=1, keepdims=True)
        spectra = tf.cast(mask, mixture.dtype) * mixture[:, tf.newaxis]
        waves = inverse_stft(tf.reshape(spectra, [-1, *spectra.shape[2:]]), *framing, length=length)
        made.append(tf.reshape(waves, excerpts.stems.shape).numpy())
    return np.stack(made)


def chosen_hypotheses(excerpts: Excerpts, priors: Sequence[Prior] | None, sigma: float) -> np.ndarray:
    """Choose an exponent for each excerpt, by the sum of the priors' log-densities; without priors by SI-SDR."""
    import numpy as np
    import tensorflow as tf

    from tfsep.metrics.si_sdr import si_sdr

    made = hypotheses(excerpts)
    if priors is None:
        each = np.stack([np.clip(si_sdr(stems, excerpts.sources), -100.0, 100.0) for stems in made])
        cost = -np.where(excerpts.sounds, each, 0.0).sum(axis=-1)
    else:
        cost = np.zeros(made.shape[:2])
        for k, prior in enumerate(priors):
            for number, stems in enumerate(made):
                cost[number] -= prior.log_prob(prior.analyse(tf.constant(stems[:, k])), sigma).numpy()
    best = np.argmin(cost, axis=0)
    return np.asarray(made[best, np.arange(made.shape[1])])


def with_flows(folders: Sequence[str], sources: Sequence[str], seed: int) -> dict[str, Refiner]:
    """Return the rows of flows over waves, by the names of their folders."""
    rows: dict[str, Refiner] = {}
    for folder in folders:
        for sigma in SHARPENING_SIGMAS:
            rows[f"Jacobi updates by {folder_name(folder)} from sigma {sigma:g}"] = _sharpened(
                folder, sources, sigma, seed
            )
    return rows


def folder_name(folder: str) -> str:
    """Return the name of a run's folder, also of the model in it, or of a folder of songs."""
    return Path(folder).parent.name if Path(folder).name == "model" else Path(folder).name


def _sharpened(folder: str, sources: Sequence[str], sigma: float, seed: int) -> Refiner:
    import numpy as np

    from tfsep import posteriors
    from tfsep.models import store

    def refine(excerpts: Excerpts) -> np.ndarray:
        priors = [store.load_prior(folder, source) for source in sources]
        smallest = max(prior.smallest_sigma for prior in priors)
        settings: Record = {"update": "jacobi", "num_levels": 3, "num_restarts": 1, "largest_amplitude": 1.0}
        settings |= {"largest_sigma": sigma, "start_sigma": sigma, "smallest_sigma": smallest}
        sampler = posteriors.build("gibbs", priors, gains=[1.0] * len(priors), **settings)
        length = sampler.segment
        half = length // 2
        window = np.hanning(length + 1)[:-1]
        total = excerpts.mixture.shape[-1]
        shape = (*excerpts.stems.shape[:-1], -(-total // half) * half + 2 * half)
        mixture = np.zeros((shape[0], shape[-1]), np.float32)
        start, sharpened = np.zeros(shape, np.float32), np.zeros(shape)
        mixture[:, half : half + total], start[..., half : half + total] = excerpts.mixture, excerpts.stems
        for first in range(0, shape[-1] - length + 1, half):
            part = slice(first, first + length)
            found = sampler.sample(mixture[:, part], 1, (seed, first), start[..., part])[0].numpy()
            sharpened[..., part] += window * found
        return sharpened[..., half : half + total]

    return refine


def table(records: Sequence[Record]) -> str:
    """Write the records as a Markdown table, the best of some songs first; SI-SDRi in dB."""
    heads = ("songs", "what is done with the stems", "priors", "excerpts", "SI-SDRi mean", "median", "per source")
    lines = ["| " + " | ".join([*heads, "CPU-seconds a second"]) + " |", "|---" * (len(heads) + 1) + "|"]
    for record in sorted(records, key=lambda record: (record["songs"], -record["mean"])):
        found = record["per_source"].items()
        each = ", ".join(f"{name} {'-' if value is None else f'{value:.1f}'}" for name, value in found)
        words = [record["songs"], record["row"], record["priors"], str(record["excerpts"])]
        numbers = [f"{record['mean']:.2f}", f"{record['median']:.2f}", each, f"{record['cpu_seconds']:.2f}"]
        lines.append("| " + " | ".join([*words, *numbers]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
