"""Add a second set of priors to a trained model, and posteriors that use it: what a gin file's ``refine`` binds.

A model may keep priors for two purposes: densities over spectra, which separate its sources, and
denoisers over waves, which refine its estimates. The second set is stored in the model folder as
``<source>_<name>``, and the posteriors that use it say so (``priors`` in their entries,
:mod:`tfsep.models.schema`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import keras

from tfsep.data.pipeline import SourceData
from tfsep.errors import InputError
from tfsep.models import stages, store, weights
from tfsep.models.schema import Entry, ModelDescription
from tfsep.posteriors.kinds import LEARNED
from tfsep.priors.base import Prior
from tfsep.recipes.train import Trained, build_composition, building_order
from tfsep.recipes.train_posteriors import choose_stages


def refine(
    save_dir: str | Path,
    model: str,
    priors: str,
    posteriors: Sequence[Entry],
    data: SourceData,
    name: str = "denoiser",
    num_validation: int = 64,
    half: bool = False,
    seed: int = 0,
    resume: bool = True,
) -> None:
    """Write ``<save_dir>/model``: a model with the priors of another beside its own, and posteriors that use them.

    Args:
        save_dir: folder of the run.
        model: name or folder of the model, which stays as it is.
        priors: name or folder of a model with a prior for each of its sources, at its rate.
        posteriors: arguments of :func:`tfsep.posteriors.build`, such that need priors; a
            composition may name learned ones of ``model`` among its stages, and keeps those of its
            stages that win on validation mixtures. They come behind the model's own, and replace
            those of the same kind; the default stays.
        data: isolated sources, those of the model, of which the validation mixtures are made.
        name: of the set of priors.
        num_validation: mixtures.
        half: store the priors' weights as float16.
        seed: of the mixtures and the samplers.
        resume: has no effect; the work takes minutes.

    Raises:
        InputError: for sources or rates that differ, posteriors that are learned or do not fit, a
            name that is none for a file, or a model that would be written over itself.
    """
    del resume
    if not name or Path(name).name != name:
        raise InputError(f"refine.name must be fit for the name of a file, got {name!r}")
    if store.find_model(model).resolve() == (Path(save_dir) / "model").resolve():
        raise InputError(f"refine.model would be written over itself: give another save_dir than {save_dir}")
    description = store.describe(model)
    sources, rate = tuple(description["sources"]), description["sample_rate"]
    other = store.describe(priors)
    if not set(sources) <= set(other["priors"]) or other["sample_rate"] != rate:
        raise InputError(
            f"refine.priors must have a prior for each of {', '.join(sources)} at {rate} Hz, {priors!r} has "
            f"{', '.join(other['priors']) or 'none'} at {other['sample_rate']} Hz"
        )
    if (tuple(data.sources), data.sample_rate) != (sources, rate):
        raise InputError(f"refine.data must have the sources {', '.join(sources)} at {rate} Hz")
    learned = [entry["kind"] for entry in posteriors if entry["kind"] in LEARNED]
    if learned:
        raise InputError(f"refine.posteriors must need priors, and {learned[0]!r} is learned from mixtures")
    loaded = [store.load_prior(priors, source) for source in sources]
    entries = _new_entries(description, model, loaded, posteriors, data, seed, num_validation)
    names = {source: f"{source}_{name}" for source in sources}
    described: dict[str, Entry] = dict(description["priors"])
    folder = Path(save_dir) / "model"
    shutil.copytree(store.find_model(model), folder, dirs_exist_ok=True)
    for source, prior in zip(sources, loaded, strict=True):
        entry = {key: value for key, value in other["priors"][source].items() if key != "weights"}
        if isinstance(prior, keras.Model):
            entry["weights"] = f"priors/{names[source]}.safetensors"
            weights.save(prior, folder / entry["weights"], half and not getattr(prior, "full_precision", False))
        described[names[source]] = entry
    new = {entry["kind"]: {**entry, "priors": names} for entry in entries}
    kept = [entry for entry in description["posteriors"] if entry["kind"] not in new]
    store.write_description(folder, {**description, "priors": described, "posteriors": [*kept, *new.values()]})


def _new_entries(
    description: ModelDescription,
    model: str,
    loaded: Sequence[Prior],
    entries: Sequence[Entry],
    data: SourceData,
    seed: int,
    num_validation: int,
) -> list[Entry]:
    """Return the new posteriors in their order, compositions with the stages that win."""
    sources, gains = tuple(description["sources"]), tuple(description["gains"])
    own = [entry for entry in description["posteriors"] if entry["kind"] in LEARNED]
    ready: list[Trained] = [(entry, store.load_model(model, entry["kind"]).posterior) for entry in own]
    found: dict[int, Entry] = {}
    for index in building_order(entries):
        entry = entries[index]
        if entry["kind"] == stages.COMPOSITION:
            whole = build_composition(entry, ready, loaded, gains)
            entry = choose_stages(entry, whole, data, sources, seed, num_validation)
        ready.append((entry, None))
        found[index] = entry
    return [found[index] for index in sorted(found)]
