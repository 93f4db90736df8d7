"""Models found by name and listed without being loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tfsep
from tfsep.errors import InputError, JobError
from tfsep.models import listing, request, schema

DESCRIPTION = {
    "format": 1,
    "sources": ["sine", "square"],
    "sample_rate": 16000,
    "segment": 64,
    "gains": [0.5, 0.5],
    "priors": {},
    "settings": {},
    "posteriors": [{"kind": "amortised", "weights": "posteriors/amortised.safetensors"}, {"kind": "gibbs"}],
}


@pytest.fixture
def models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFSEP_MODELS", str(tmp_path))
    for name in ("two", "one"):
        (tmp_path / name / "posteriors").mkdir(parents=True)
        (tmp_path / name / "model.json").write_text(json.dumps(DESCRIPTION))
    (tmp_path / "one" / "posteriors" / "amortised.safetensors").write_bytes(bytes(1_200_000))
    (tmp_path / "none").mkdir()
    return tmp_path


def test_models_are_listed_with_what_is_known_of_them(models_folder: Path) -> None:
    one, two = tfsep.list_models()
    assert one == listing.ModelInfo(
        "one", ("sine", "square"), 16000, ("amortised", "gibbs"), 1.2, folder=models_folder / "one"
    )
    assert (two.name, two.megabytes) == ("two", 0.0)
    assert str(one) == "one: sine, square; 16000 Hz; 1.2 MB"


def test_a_model_that_is_not_sound_is_named(models_folder: Path) -> None:
    (models_folder / "two" / "model.json").write_text("{}")
    with pytest.raises(InputError, match=f"{models_folder}/two/model.json: not a model description"):
        listing.list_models()


def test_a_folder_of_models_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for absent in (tmp_path / "nowhere", "x" * 5000):
        monkeypatch.setenv("TFSEP_MODELS", str(absent))
        with pytest.raises(JobError, match="TFSEP_MODELS must name a folder of models, got '"):
            listing.list_models()


@pytest.mark.parametrize("name", [None, 3, b"one", ["one"]])
def test_a_model_is_a_name_or_a_folder(name: Any) -> None:
    with pytest.raises(InputError, match="a model must be given as a name or a folder, got "):
        tfsep.Separator.load(name)
    with pytest.raises(InputError, match="a model must be given as a name or a folder, got "):
        tfsep.load_prior(name, "sine")


def test_a_name_that_no_file_can_have_is_that_of_no_model(models_folder: Path) -> None:
    for load in (tfsep.Separator.load, lambda name: tfsep.load_prior(name, "sine")):
        with pytest.raises(InputError, match="no model 'x{200}': neither .* one of the models one, two$"):
            load("x" * 5000)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"posterior": 3}, "posterior must be the name of a kind, got 3"),
        ({"posterior": ["gibbs"]}, "posterior must be the name of a kind, got .'gibbs'"),
        ({"priors": "sine"}, "priors must be a mapping from sources to models, got 'sine'"),
        ({"priors": {"sine": None}}, "a model must be given as a name or a folder, got 'None'"),
        ({"posterior": "gibbs", "steps": 1.5}, "steps must be a whole number in 1..2147483647, got 1.5"),
        ({"posterior": "gibbs", "steps": "3"}, "steps must be a whole number in 1..2147483647, got '3'"),
        ({"posterior": "gibbs", "silence": "x"}, "silence must be a number, got 'x'"),
        ({"segment": "x"}, "segment must be a number, got 'x'"),
        ({"without": "sine"}, "without must be a sequence of sources, got 'sine'"),
        ({"without": 3}, "without must be a sequence of sources, got 3"),
    ],
)
def test_what_is_asked_of_a_model_has_its_type(models_folder: Path, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        request.select("one", **given)


def test_the_source_of_a_prior_is_a_name(models_folder: Path) -> None:
    with pytest.raises(InputError, match="model 'one' has priors for no source, not for .'sine'"):
        request.prior_entry("one", ["sine"])  # type: ignore[arg-type]


def test_the_nearest_name_is_offered(models_folder: Path) -> None:
    with pytest.raises(InputError, match="one of the models one, two; did you mean 'two'[?]"):
        listing.find_model("twoo")


def test_the_former_name_of_a_source_subset_is_read(models_folder: Path) -> None:
    subset = {"num_sources": 3, "places": [0, 2]}  # alias
    entry = {**DESCRIPTION["posteriors"][0], "present": subset}  # type: ignore[index]  # alias
    (models_folder / "two" / "model.json").write_text(json.dumps({**DESCRIPTION, "posteriors": [entry]}))
    assert listing.describe("two")["posteriors"][0][schema.SOURCE_SUBSET] == {"num_sources": 3, "indices": [0, 2]}


def test_the_former_name_of_the_validation_metric_is_read(models_folder: Path) -> None:
    entry = {"kind": "composition", "stages": ["amortised"], "scores": [7.5], "keep": 1}  # alias
    posteriors = [*DESCRIPTION["posteriors"], entry]  # type: ignore[misc]
    (models_folder / "two" / "model.json").write_text(json.dumps({**DESCRIPTION, "posteriors": posteriors}))
    found = listing.describe("two")["posteriors"][2]
    assert found == {"kind": "composition", "stages": ["amortised"], "validation_si_sdri": [7.5], "keep": 1}


def test_a_description_is_written_as_it_is_read(models_folder: Path) -> None:
    description = listing.describe("one")
    for file in schema.weights_files(description):
        target = models_folder / "copy" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(models_folder / "one" / file, target) if (
            models_folder / "one" / file
        ).is_file() else target.touch()
    schema.write_description(models_folder / "copy", description)
    found = listing.describe("copy")
    assert set(found.pop("manifest")) == set(schema.weights_files(description))  # type: ignore[misc]
    assert found == {name: value for name, value in description.items() if name != "manifest"}
    written = json.loads((models_folder / "copy" / "model.json").read_text())
    assert list(written) == list(schema.ModelDescription.__annotations__)
    assert [path.name for path in (models_folder / "copy").iterdir() if path.is_file()] == ["model.json"]
