"""Model folders: what is saved is the same when loaded, and what does not fit together is refused in one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfsep
from tfsep import posteriors, priors
from tfsep.data.oscillators import KINDS
from tfsep.errors import InputError
from tfsep.models import store
from tfsep.models.store import load_model, load_prior, save_model
from tfsep.posteriors.gibbs import Gibbs
from tfsep.posteriors.langevin import Langevin

RATE, SEGMENT = 16000, 64
GLOW = {
    "kind": "glow",
    "length": SEGMENT,
    "squeeze": 4,
    "num_levels": 1,
    "num_steps": 1,
    "width": 4,
    "num_layers": 1,
    "sigma_range": (0.01, 8.0),
}
MASKS = {"kind": "amortised", "network_settings": {"width": 8, "num_blocks": 1}}
GIBBS = {"kind": "gibbs", "num_levels": 3, "num_restarts": 2}
LANGEVIN = {"kind": "langevin", "num_levels": 2, "num_steps": 2}


def shaken(model: Any, seed: int) -> Any:
    """A model whose weights are not the initial ones."""
    keras.utils.set_random_seed(seed)
    for weight in model.weights:
        weight.assign_add(0.05 * keras.random.uniform(weight.shape))
    return model


def write(
    folder: Path,
    sources: tuple[str, ...] = ("sine", "square"),
    gain: float | None = None,
    rate: int = RATE,
    length: int = SEGMENT,
    entries: tuple[dict[str, Any], ...] = (MASKS, GIBBS, LANGEVIN),
    half: bool = False,
) -> dict[str, Any]:
    """Save a small model; returns its parts by name."""
    gains = (gain or 1.0 / len(sources),) * len(sources)
    glow = {**GLOW, "length": length}
    parts: dict[str, Any] = {name: shaken(priors.build(**glow), KINDS.index(name) + 1) for name in sources}
    trained = []
    for entry in entries:
        model = None
        if entry["kind"] == "amortised":
            model = shaken(posteriors.build(**entry, num_sources=len(sources), segment=length, gains=gains), 9)
            parts["amortised"] = model
        trained.append((entry, model))
    settings = {"overlap": 0.5}
    pairs = {name: (glow, parts[name]) for name in sources}
    save_model(folder, sources, rate, length, gains, pairs, trained, settings, half)
    return parts


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: ``toy`` with everything, ``priors`` with priors alone, of four sources."""
    folder = tmp_path_factory.mktemp("models_folder")
    write(folder / "toy")
    write(folder / "priors", KINDS, entries=())
    return folder


@pytest.fixture(autouse=True)
def models(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TFSEP_MODELS", str(models_folder))
    yield


@pytest.fixture
def copy(models_folder: Path, tmp_path: Path) -> Path:
    """A copy of ``toy`` to spoil."""
    return shutil.copytree(models_folder / "toy", tmp_path / "toy")


def mixture(num: int = 3, length: int = SEGMENT) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(num, length)), tf.float32)


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def spoil(folder: Path, **changes: Any) -> Path:
    """Change entries of a model.json; None removes them."""
    file = folder / "model.json"
    description = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({name: value for name, value in description.items() if value is not None}))
    return folder


@pytest.mark.parametrize("half", [False, True])
def test_a_loaded_model_answers_as_the_saved_one(tmp_path: Path, half: bool) -> None:
    parts = write(tmp_path / "here", half=half)
    model = load_model(tmp_path / "here")
    tolerance = 0.01 if half else 1e-6
    expected = parts["amortised"].sample(mixture(), 2, (0, 0))
    np.testing.assert_allclose(model.posterior.sample(mixture(), 2, (0, 0)), expected, atol=tolerance)
    events = mixture()[..., tf.newaxis]
    for source in ("sine", "square"):
        found = load_prior(tmp_path / "here", source).log_prob(events, 0.3)
        np.testing.assert_allclose(found, parts[source].log_prob(events, 0.3), rtol=1e-2 if half else 1e-5)


def test_a_loaded_sampler_answers_as_one_with_the_saved_priors(tmp_path: Path) -> None:
    parts = write(tmp_path / "here")
    gibbs = posteriors.build("gibbs", [parts["sine"], parts["square"]], num_levels=3, num_restarts=2)
    again = load_model(tmp_path / "here", "gibbs").posterior
    np.testing.assert_allclose(again.sample(mixture(), 1, (0, 0)), gibbs.sample(mixture(), 1, (0, 0)), atol=1e-3)


def test_a_model_says_what_it_is() -> None:
    model = load_model("toy")
    assert (model.name, model.sources, model.sample_rate, model.segment) == ("toy", ("sine", "square"), RATE, SEGMENT)
    assert model.gains == model.posterior.gains == (0.5, 0.5)
    assert model.settings == {"overlap": 0.5}
    assert model.posterior.kind == "amortised"
    assert model.posterior.num_sources == 2 and model.posterior.segment == SEGMENT


@pytest.mark.parametrize("kind", ["amortised", "gibbs", "langevin"])
def test_each_posterior_can_be_asked_for(kind: str) -> None:
    model = load_model("toy", posterior=kind)
    assert model.posterior.kind == kind
    assert model.posterior.sample(mixture(), 1, (0, 0)).shape == (1, 3, 2, SEGMENT)


def test_models_are_found_by_name_or_folder(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.model_names() == ["priors", "toy"]
    assert store.find_model("toy") == models_folder / "toy"
    monkeypatch.setenv("TFSEP_MODELS", str(models_folder / "nowhere"))
    assert store.model_names() == []
    assert load_model(models_folder / "toy").name == "toy"
    monkeypatch.chdir(models_folder / "toy")
    assert load_model(".").name == "toy"
    assert refusal(lambda: load_model("toy")) == (
        "no model 'toy': neither a folder with a model.json nor one of the models none (TFSEP_MODELS names no folder)"
    )


def test_models_lie_beside_the_package_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFSEP_MODELS")
    assert store.models_folder() == Path(tfsep.__file__).resolve().parents[1] / "models"


def test_a_model_without_priors_or_settings(tmp_path: Path) -> None:
    built = posteriors.build(**MASKS, num_sources=2, segment=SEGMENT, gains=(1.0, 1.0))
    save_model(tmp_path / "bare", ("drums", "bass"), 8000, SEGMENT, (1.0, 1.0), posteriors=[(MASKS, built)])
    model = load_model(tmp_path / "bare")
    assert model.settings == {} and model.gains == (1.0, 1.0)
    message = refusal(lambda: load_prior(tmp_path / "bare", "drums"))
    assert message.endswith("has priors for no source, not for 'drums'")


def test_a_prior_without_weights_is_built_from_its_settings(tmp_path: Path) -> None:
    ideal = {"kind": "ideal_toy", "length": SEGMENT, "sample_rate": RATE, "num_phases": 2, "num_rounds": 0}
    pairs = {name: ({**ideal, "source": name}, priors.build(**ideal, source=name)) for name in ("sine", "square")}
    save_model(tmp_path / "ideal", ("sine", "square"), RATE, SEGMENT, (0.5, 0.5), pairs, [(GIBBS, None)])
    assert not (tmp_path / "ideal" / "priors").exists()
    assert load_model(tmp_path / "ideal").posterior.sample(mixture(), 1, (0, 0)).shape == (1, 3, 2, SEGMENT)


def test_load_prior_is_public() -> None:
    prior = tfsep.load_prior("toy", "square")
    assert prior.kind == "glow" and prior.event_shape == (SEGMENT, 1)


def test_saving_again_replaces_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "here")
    write(tmp_path / "here", ("sine",), entries=(GIBBS,))
    model = load_model(tmp_path / "here")
    assert model.sources == ("sine",) and model.posterior.kind == "gibbs"
    assert not list((tmp_path / "here").rglob("*.part"))


# Priors of other models.


def test_a_prior_can_be_replaced(tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other, ("triangle", "square"), entries=())
    model = load_model("toy", priors={"square": str(other)})
    assert model.posterior.kind == "gibbs" and model.sources == ("sine", "square") and model.gains == (0.5, 0.5)
    assert isinstance(model.posterior, Gibbs)
    events = mixture()[..., tf.newaxis]
    for prior, place, source in zip(model.posterior.priors, ("toy", other), model.sources, strict=True):
        expected = load_prior(place, source).log_prob(events, 0.5)
        np.testing.assert_allclose(prior.log_prob(events, 0.5), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("gain", "expected"), [(None, (0.25, 0.25, 0.25, 0.25)), (1.0, (1.0, 1.0, 1.0, 1.0)), (0.7, (0.7, 0.7, 1.0, 1.0))]
)
def test_a_source_can_be_added(
    tmp_path: Path, models_folder: Path, gain: float | None, expected: tuple[float, ...]
) -> None:
    """The mean stays the mean; to any other mixture the new source is simply added."""
    write(tmp_path / "two", gain=gain)
    place = str(models_folder / "priors")
    model = load_model(tmp_path / "two", posterior="langevin", priors={"triangle": place, "sawtooth": place})
    assert model.sources == ("sine", "square", "triangle", "sawtooth")
    assert model.gains == model.posterior.gains == expected
    assert model.posterior.num_sources == 4


def test_a_learned_posterior_cannot_take_other_priors(models_folder: Path, tmp_path: Path) -> None:
    place = {"sine": str(models_folder / "priors")}
    assert refusal(lambda: load_model("toy", posterior="amortised", priors=place)) == (
        "model 'toy' has no posterior that uses priors of kind 'amortised'; it has gibbs, langevin"
    )
    write(tmp_path / "masks", entries=(MASKS,))
    assert refusal(lambda: load_model(tmp_path / "masks", priors=place)).endswith("of kind 'any'; it has none")


def test_priors_that_do_not_fit_together_are_refused(tmp_path: Path, models_folder: Path) -> None:
    assert refusal(lambda: load_model("toy", priors={"flute": str(models_folder / "priors")})).endswith(
        "has priors for sine, sawtooth, square, triangle, not for 'flute'"
    )
    assert refusal(lambda: load_model("toy", priors={"sine": "nowhere"})).startswith("no model 'nowhere'")
    write(tmp_path / "long", length=2 * SEGMENT, entries=())
    message = refusal(lambda: load_model("toy", priors={"sine": str(tmp_path / "long")}))
    assert "priors must share one event shape, got (64, 1), (128, 1)" in message
    write(tmp_path / "slow", rate=8000, entries=())
    message = refusal(lambda: load_model("toy", priors={"sine": str(tmp_path / "slow")}))
    assert message.startswith("the priors of one model must be at its own sample rate, got 16000 Hz")


def test_all_priors_replaced_by_longer_ones_set_the_segment(tmp_path: Path) -> None:
    write(tmp_path / "long", length=2 * SEGMENT, entries=())
    place = str(tmp_path / "long")
    model = load_model("toy", priors={"sine": place, "square": place})
    assert model.segment == model.posterior.segment == 2 * SEGMENT


# Posteriors and their steps.


def test_steps_are_levels_of_gibbs_and_steps_of_langevin() -> None:
    gibbs, langevin = (load_model("toy", kind, steps=7).posterior for kind in ("gibbs", "langevin"))
    assert isinstance(gibbs, Gibbs) and len(gibbs.sigmas) == 7
    assert isinstance(langevin, Langevin) and langevin.num_steps == 7 and len(langevin.sigmas) == 2


def test_steps_out_of_place_are_refused() -> None:
    assert refusal(lambda: load_model("toy", steps=7)) == (
        "posterior 'amortised' has no steps to set; "
        "those of diffusion, gibbs, langevin, latent, particles, spectral_langevin, spectral_latent, stochastic_gibbs "
        "can be"
    )
    for kind in ("langevin", "gibbs"):
        message = refusal(lambda kind=kind: load_model("toy", kind, steps=0))
        assert message == "steps must be a whole number in 1..2147483647, got 0"


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    assert refusal(lambda: load_model("tyo")) == (
        "no model 'tyo': neither a folder with a model.json nor one of the models priors, toy; did you mean 'toy'?"
    )
    assert refusal(lambda: load_model("toy", posterior="diffusion")) == (
        "model 'toy' has no posterior of kind 'diffusion'; it has amortised, gibbs, langevin"
    )
    assert refusal(lambda: load_model("priors")) == "model 'priors' has no posterior of kind 'any'; it has none"
    assert refusal(lambda: load_prior("toy", "flute")) == "model 'toy' has priors for sine, square, not for 'flute'"


# Folders that are not sound.


@pytest.mark.parametrize("file", ["posteriors/amortised.safetensors", "priors/square.safetensors"])
def test_a_missing_weights_file_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    kind = "amortised" if "amortised" in file else "gibbs"
    assert refusal(lambda: load_model(copy, kind)) == f"{copy / file}: the weights of this model are missing"


def test_weights_of_another_part_are_refused(copy: Path) -> None:
    shutil.copy(copy / "priors" / "sine.safetensors", copy / "posteriors" / "amortised.safetensors")
    message = refusal(lambda: load_model(copy))
    changed = f"{copy / 'posteriors/amortised.safetensors'}: the weights are "
    assert message.startswith(f"{changed}not those that were saved: SHA-256 ")
    assert refusal(lambda: load_model(spoil(copy, manifest={}))).startswith(f"{changed}not those that were saved: a ")
    message = refusal(lambda: load_model(spoil(copy, manifest=None)))
    assert message.startswith(f"{changed}of another model: ")


def test_models_of_earlier_versions_have_no_manifest(copy: Path) -> None:
    assert set(json.loads((copy / "model.json").read_text())["manifest"]) == {
        "priors/sine.safetensors",
        "priors/square.safetensors",
        "posteriors/amortised.safetensors",
    }
    assert load_model(spoil(copy, manifest=None)).posterior.kind == "amortised"


def test_one_changed_bit_is_noticed(copy: Path) -> None:
    file = copy / "priors" / "square.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert load_prior(copy, "sine").kind == "glow"
    assert "are not those that were saved" in refusal(lambda: load_prior(copy, "square"))


def test_weights_lie_in_the_folder(copy: Path, tmp_path: Path) -> None:
    file = copy / "priors" / "sine.safetensors"
    shutil.move(file, tmp_path / "elsewhere.safetensors")
    file.symlink_to(tmp_path / "elsewhere.safetensors")
    assert "must lie in the folder of their model, got a link" in refusal(lambda: load_prior(copy, "sine"))
    file.unlink()
    (copy / "priors" / "own.safetensors").write_bytes((tmp_path / "elsewhere.safetensors").read_bytes())
    file.symlink_to("own.safetensors")
    assert load_prior(copy, "sine").kind == "glow"


def test_a_learned_part_without_weights_is_refused(copy: Path) -> None:
    description = json.loads((copy / "model.json").read_text())
    for part in (*description["priors"].values(), *description["posteriors"]):
        part.pop("weights", None)
    spoil(copy, **description)
    assert "the posterior 'amortised': a learned part needs weights" in refusal(lambda: load_model(copy))
    assert "the prior of 'sine': a learned part needs weights" in refusal(lambda: load_prior(copy, "sine"))


STAGE = {"kind": "gibbs", "num_levels": 3}


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        ("settings.overlap", "x", "the setting overlap of a model has another type"),
        ("settings.overlap", None, "the setting overlap"),
        ("settings.normalise", 1, "the setting normalise"),
        ("settings.level", {}, "the setting level"),
        ("settings.level", 0.0, "level must be above 0"),
        ("settings.overlapp", 0.5, "settings of a model must be overlap, stereo"),
        ("priors.sine.sigma_range", {}, "the prior of 'sine'"),
        ("priors.sine.sigma_range", [1], "the prior of 'sine'"),
        ("priors.sine.num_levels", 10**9, "num_levels must be at most 10000"),
        ("priors.sine.num_steps", 9999, "blocks, more than the"),
        ("priors.sine.width", 10**9, "width must be at most the"),
        ("priors.sine.length", 10**8, "segments must be at most 60 s"),
        ("priors.sine.weights", "../../sine.safetensors", "their weights in the folder"),
        ("priors.sine.weights", "/etc/passwd", "their weights in the folder"),
        ("priors.sine.weights", "n" * 5000, "texts must be printable and at most 255"),
        ("priors.sine.weights", "a\ud800.safetensors", "texts must be printable"),
        ("sources", ["n" * 101, "b"], "each fit for a file"),
        ("sources", ["a\x1b[31m", "b"], "texts must be printable"),
        ("sources", ["a", "A"], "different names"),
        ("sources", ["a\\b", "c"], "each fit for a file"),
        ("sources", [f"s{n}" for n in range(65)], "1 to 64 different names"),
        ("sample_rate", 10**30, "whole numbers must be below 2^31"),
        ("segment", 10**9, "segments must be at most 60 s"),
        ("gains", [10**400, 1], "whole numbers must be below 2^31"),
        ("posteriors", [{"kind": "composition", "stages": [STAGE] * 300}], "at most 16 stages"),
        ("posteriors", [{"kind": "composition", "stages": [{"kind": ["x"]}]}], "parts of different kinds"),
        ("posteriors", [{"kind": "composition", "stages": [STAGE], "keep": "x"}], "parts of different kinds"),
        ("posteriors", [STAGE, STAGE], "parts of different kinds"),
        ("posteriors", [{"kind": "gibbs", "num_levels": 10**7}], "num_levels must be at most 10000"),
        ("posteriors", [{"kind": "amortised", "present": 5}], "parts of different kinds"),
        ("posteriors", [{"kind": "amortised", "source_subset": {"num_sources": 2, "indices": [9]}}], "of different"),
        ("posteriors.0.network_settings", {"width": 10**6}, "width must be at most the"),
        ("posteriors.0.network_settings", {"num_blocks": 10**6}, "num_blocks must be at most 10000"),
        ("posteriors.0.network_settings", "x", "posterior 'amortised'"),
    ],
)
def test_hostile_values_are_one_line_each(copy: Path, path: str, value: Any, part: str) -> None:
    file = copy / "model.json"
    description = json.loads(file.read_text())
    *outer, last = path.split(".")
    inner = description
    for name in outer:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    inner[last] = value
    file.write_text(json.dumps(description))
    message = refusal(lambda: (tfsep.Separator.load(str(copy)), load_prior(copy, "sine")))
    assert part in message and len(message) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(copy: Path, number: str) -> None:
    file = copy / "model.json"
    file.write_text(file.read_text().replace('"overlap": 0.5', f'"overlap": {number}'))
    assert "numbers must be finite" in refusal(lambda: load_model(copy))


def test_a_description_is_bounded(copy: Path) -> None:
    (copy / "model.json").write_text('{"a": [' + "1," * 200_000 + "1]}")
    assert "must hold at most 100000 values" in refusal(lambda: load_model(copy))
    (copy / "model.json").write_text('{"a": ' + "[" * 20 + "]" * 20 + "}")
    assert "16 deep" in refusal(lambda: load_model(copy))
    (copy / "model.json").write_text(" " * (5 << 20))
    assert "more than 4194304 bytes" in refusal(lambda: load_model(copy))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    parts = write(tmp_path / "here")
    parts["sine"].weights[0].assign(parts["sine"].weights[0] * np.nan)
    save_model(tmp_path / "here", ("sine",), RATE, SEGMENT, (1.0,), {"sine": (GLOW, parts["sine"])}, [(GIBBS, None)])
    message = refusal(lambda: load_model(tmp_path / "here"))
    assert message == f"{tmp_path / 'here' / 'priors/sine.safetensors'}: weights must be finite"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"toy"', "\x00", "{}", "[" * 100000])
def test_a_description_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / "model.json").write_text(text)
    assert refusal(lambda: load_model(copy)).startswith(f"{copy / 'model.json'}: not a model description (")


def test_a_description_in_no_encoding_is_refused(copy: Path) -> None:
    (copy / "model.json").write_bytes(b"\xff\xfe{")
    assert "not a model description (UnicodeDecodeError" in refusal(lambda: load_model(copy))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"format": 2}, "format must be 1, got 2"),
        ({"sources": None}, "a model description needs sources"),
        ({"segment": None}, "a model description needs segment"),
        ({"sources": "sine"}, 'sources must be 1 to 64 different names, each fit for a file, got "sine"'),
        ({"sources": []}, "sources must be 1 to 64 different names, each fit for a file, got []"),
        ({"sources": ["sine", "sine"]}, 'fit for a file, got ["sine", "sine"]'),
        ({"sources": ["sine", "../../x"]}, 'fit for a file, got ["sine", "../../x"]'),
        ({"sources": ["sine", ".."]}, 'fit for a file, got ["sine", ".."]'),
        ({"sources": ["sine", 3]}, 'fit for a file, got ["sine", 3]'),
        ({"sample_rate": "fast"}, 'sample_rate must be a whole number in 1000..384000 Hz, got "fast"'),
        ({"sample_rate": 0}, "sample_rate must be a whole number in 1000..384000 Hz, got 0"),
        ({"segment": 64.5}, "segment must be a whole number above 0, got 64.5"),
        ({"segment": True}, "segment must be a whole number above 0, got true"),
        ({"gains": 1}, "gains must be a list of numbers, got 1"),
        ({"gains": ["loud", "low"]}, 'gains must be a list of numbers, got ["loud", "low"]'),
        ({"gains": [1.0]}, "there must be one gain for each source, got 1 for 2"),
        (
            {"priors": []},
            "priors must be an object of at most 256 parts with a kind, their weights in the folder, got []",
        ),
        (
            {"priors": {"sine": {}}},
            'priors must be an object of at most 256 parts with a kind, their weights in the folder, got {"sine": {}}',
        ),
        (
            {"posteriors": {}},
            "posteriors must be a list of parts of different kinds",
        ),
        (
            {"posteriors": ["gibbs"]},
            "posteriors must be a list of parts of different kinds",
        ),
        (
            {"posteriors": [{"kind": "gibbs", "weights": 3}]},
            "posteriors must be a list of parts of different kinds",
        ),
        ({"settings": []}, "settings must be an object, got []"),
    ],
)
def test_a_description_that_breaks_a_rule_is_refused(copy: Path, changes: dict[str, Any], rule: str) -> None:
    message = refusal(lambda: load_model(spoil(copy, **changes)))
    assert message.startswith(f"{copy / 'model.json'}: ") and rule in message


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"gains": [0.0, 1.0]}, "gains must be finite and not zero"),
        ({"posteriors": [{"kind": "oracle"}]}, "the posterior must be one of amortised, .*, got 'oracle'"),
        ({"posteriors": [{"kind": "gibbs", "num_levels": "many"}]}, "posterior 'gibbs': "),
        ({"posteriors": [{"kind": "gibbs", "import": "os"}]}, "posterior 'gibbs' has no parameter 'import'"),
    ],
)
def test_a_posterior_that_cannot_be_built_is_refused(copy: Path, changes: dict[str, Any], rule: str) -> None:
    assert re.search(rule, refusal(lambda: load_model(spoil(copy, **changes))))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"kind": "oracle"}, "wavetable, got 'oracle'"),
        ({"widht": 4}, "widht"),
        ({"length": "long"}, "long"),
        ({"front_end": 3}, "the prior of 'sine': "),
        ({"sigma_range": 3}, "prior 'glow' over 'wave' events (64, 1): "),
    ],
)
def test_a_prior_that_cannot_be_built_is_refused(copy: Path, changes: dict[str, Any], rule: str) -> None:
    known = json.loads((copy / "model.json").read_text())["priors"]
    spoil(copy, priors={**known, "sine": {**known["sine"], **changes}})
    assert rule in refusal(lambda: load_prior(copy, "sine"))
    assert rule in refusal(lambda: load_model(copy, "gibbs"))
    assert load_model(copy).posterior.kind == "amortised"
