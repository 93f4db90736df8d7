"""bin/evaluate and bin/export: the record, the table, and the versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tfsep import priors
from tfsep.cli import evaluate, export
from tfsep.data import toy
from tfsep.models.store import save_model

TOY_SOURCES = ("sine", "sawtooth", "square", "triangle")
KEYS = {"model", "data", "seed", "num_mixtures", "sources", "mean_si_sdri", "median_si_sdri", "fraction_above_10db"}
KEYS |= {"baselines", "seconds", "real_time_factor", "silent"}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Call a command's function in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("TFSEP_MODELS", str(tiny_models))
    monkeypatch.chdir(tmp_path)

    def run(main: Callable[..., int], *arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return run


def record(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def write_tracks(root: Path, tracks: dict[str, dict[str, np.ndarray]], sample_rate: int = 8000) -> None:
    for track, stems in tracks.items():
        (root / "test" / track).mkdir(parents=True)
        for name, waveform in stems.items():
            soundfile.write(root / "test" / track / f"{name}.wav", waveform.T, sample_rate, subtype="FLOAT")


def stem(seed: int, channels: int = 1, time: int = 9000) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, time)).astype(np.float32)


def test_a_source_may_be_added_by_its_prior(call: Run, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"kind": "score", "length": 256, "width": 4, "num_blocks": 1, "local_width": 0}
    posterior = {"kind": "gibbs", "largest_sigma": 1.0, "num_levels": 2, "num_restarts": 1}
    for folder, names in (("duo", ("sine", "square")), ("one", ("triangle",))):
        trained = {name: (arguments, priors.build(**arguments)) for name in names}
        gains = (1.0,) * len(names)
        save_model(tmp_path / folder, names, 16000, 256, gains, trained, [(posterior, None)])
    for more, names in (([], ["sine", "square"]), (["--priors=triangle=one"], ["sine", "square", "triangle"])):
        code, _, err = call(evaluate.main, "--model=duo", "--data=toy", "--num_mixtures=2", "--json=r.json", *more)
        assert (code, err) == (0, "")
        assert list(record(tmp_path / "r.json")["sources"]) == names
    code, _, err = call(evaluate.main, "--model=duo", "--data=toy", "--priors=sine")
    assert code == 2 and "--priors must be SOURCE=DIR,..., got 'sine'" in err


@pytest.mark.parametrize("arguments", [["--data=toy", "--balance_db=2"], ["--data=.", "--balance_db=nan"]])
def test_a_balance_of_nothing_is_refused(call: Run, arguments: list[str]) -> None:
    code, _, err = call(evaluate.main, "--model=songs", *arguments)
    assert code == 2 and "--balance_db must lie in 0..100 and is for a folder of stems" in err


@pytest.mark.parametrize("data", ["toy", "toy-free"])
def test_toy_record(call: Run, tmp_path: Path, data: str) -> None:
    code, out, err = call(
        evaluate.main, "--model=toy", f"--data={data}", "--num_mixtures=70", "--seed=3", "--json=new/r.json"
    )
    assert code == 0 and err == ""
    found = record(tmp_path / "new" / "r.json")
    assert set(found) == KEYS
    assert (found["model"], found["data"], found["seed"], found["num_mixtures"]) == ("toy", data, 3, 70)
    assert tuple(found["sources"]) == TOY_SOURCES
    for row in found["sources"].values():
        assert row["count"] == 70 and row["silent"] == 0 and 0 <= row["fraction_above_10db"] <= 1
    means = [row["si_sdri"] for row in found["sources"].values()]
    assert found["mean_si_sdri"] == pytest.approx(np.mean(means))
    mixture, mask = found["baselines"]["mixture"], found["baselines"]["ideal_ratio_mask"]
    assert mixture["mean_si_sdri"] == mixture["median_si_sdri"] == 0.0
    assert mask["mean_si_sdri"] > 10.0 > found["mean_si_sdri"]
    assert found["seconds"] > 0 and found["real_time_factor"] > 0 and found["silent"] == 0
    assert out.startswith(f"toy on {data}: 70 mixtures, seed 3\n")
    assert all(f"\n{name}" in out for name in (*TOY_SOURCES, "all", "mixture", "ideal_ratio_mask"))


def test_toy_mixtures_are_those_of_the_data_package(tiny_models: Path) -> None:
    from tfsep.evaluation import mixtures
    from tfsep.separation.separator import Separator

    separator = Separator.load(str(tiny_models / "toy"))
    batches = list(mixtures.toy_batches(separator, 70, 5, free=False))
    mixture, sources = toy.mixtures(70, 1024, 16000, 5)
    np.testing.assert_allclose(np.concatenate([batch.mixture for batch in batches]), mixture, atol=1e-7)
    np.testing.assert_allclose(np.concatenate([batch.references for batch in batches]), sources / 4, atol=1e-7)


def test_folder_of_songs(call: Run, tmp_path: Path) -> None:
    silent = np.zeros((2, 9000), np.float32)
    write_tracks(
        tmp_path / "data",
        {
            "one": {"drums": stem(1, 2), "bass": silent, "other": stem(2, 2), "vocals": stem(3, 1, 8000)},
            "two": {"drums": stem(4), "mixture": stem(4) + stem(5)},
        },
    )
    code, out, _ = call(evaluate.main, "--model=songs", "--data=data", "--json=r.json")
    assert code == 0
    found = record(tmp_path / "r.json")
    assert found["num_mixtures"] == 2 and found["data"] == "data"
    counts = {name: (row["count"], row["silent"]) for name, row in found["sources"].items()}
    assert counts == {"drums": (3, 0), "bass": (0, 3), "other": (2, 1), "vocals": (2, 1)}
    assert found["silent"] == 5
    assert found["sources"]["bass"]["si_sdr"] is None
    expected = 10 * np.log10(np.sum(stem(4) ** 2) / np.sum(stem(5) ** 2))
    mixture = found["baselines"]["mixture"]["sources"]["drums"]["si_sdr"]
    assert mixture == pytest.approx((expected + 2 * -3.0) / 3, abs=0.5)
    assert "bass" in out and "-" in out
    code, _, _ = call(
        evaluate.main, "--model=songs", "--data=data", "--num_mixtures=1", "--without=bass", "--json=r.json"
    )
    assert code == 0 and record(tmp_path / "r.json")["num_mixtures"] == 1
    assert set(record(tmp_path / "r.json")["sources"]) == {"drums", "other", "vocals"}


def test_one_broken_track_leaves_the_table_of_the_others(call: Run, tmp_path: Path) -> None:
    names = ("drums", "bass", "other", "vocals")
    tracks = {str(number): {name: stem(number + k) for k, name in enumerate(names)} for number in range(3)}
    tracks["2"]["mixture"] = 0.5 * sum(tracks["2"].values())  # type: ignore[assignment]
    write_tracks(tmp_path / "songs", tracks)
    (tmp_path / "songs" / "test" / "1" / "bass.wav").write_bytes(b"")
    code, out, err = call(evaluate.main, "--model=songs", "--data=songs", "--json=r.json")
    assert code == 1 and "songs on songs: 2 mixtures" in out
    assert record(tmp_path / "r.json")["num_mixtures"] == 2
    first, second = err.splitlines()
    assert first.startswith("error: the track 1 is left out: a sound file must hold something, got an empty file")
    assert second == "warning: the track 2: its mixture minus its stems leaves 0.0 dB, more than -15 dB"


def test_a_musdb_root_and_both_of_its_mixtures(call: Run, tmp_path: Path) -> None:
    """musdb18-hq: the validation tracks lie among those of training, and the true mixture is not the sum."""
    tracks = {"Meaxic - Take A Step": {"drums": stem(1), "bass": stem(2), "mixture": 3 * stem(2) + stem(1)}}
    write_tracks(tmp_path / "hq", {**tracks, "Band - Song": {"drums": stem(4)}})
    (tmp_path / "hq" / "test").rename(tmp_path / "hq" / "train")
    found = []
    for arguments in ([], ["--linear_mixture"]):
        code, _, err = call(evaluate.main, "--model=songs", "--data=hq", "--split=valid", "--json=r.json", *arguments)
        assert code == 0 and "has no file of other, vocals: its reference is silence" in err
        assert ("its mixture minus its stems leaves -4.0 dB" in err) == (not arguments)
        found.append(record(tmp_path / "r.json"))
        assert found[-1]["num_mixtures"] == 1
    levels = [each["baselines"]["mixture"]["sources"]["drums"]["si_sdr"] for each in found]
    assert levels[0] == pytest.approx(-9.5, abs=0.5) and levels[1] == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--data=toy"], 2, "required: --model"),
        (["--model=toy", "--data=nowhere"], 2, "--data must be toy, toy-free or a folder, got 'nowhere'"),
        (["--model=toy", "--data=toy", "--num_mixtures=0"], 2, "--num_mixtures must be at least 1"),
        (["--model=toy", "--data=."], 2, "has no track folders"),
        (["--model=songs", "--data=toy"], 2, "the model has 'drums'"),
        (["--model=toy", "--data=songs"], 2, "no track under songs/test has a stem of sine"),
        (["--model=songs", "--data=packed"], 1, ".stem.mp4"),
        (["--model=songs", "--data=broken"], 1, "not a sound file"),
        (["--model=songs", "--data=uneven"], 1, "one number of channels, got [2, 3]"),
    ],
)
def test_what_cannot_be_measured(call: Run, tmp_path: Path, arguments: list[str], code: int, complaint: str) -> None:
    write_tracks(tmp_path / "songs", {"one": {"drums": stem(1)}})
    write_tracks(tmp_path / "uneven", {"one": {"drums": stem(1, 2), "bass": stem(1, 3)}})
    (tmp_path / "packed" / "test").mkdir(parents=True)
    (tmp_path / "packed" / "test" / "a.stem.mp4").write_bytes(b"")
    (tmp_path / "broken" / "test" / "one").mkdir(parents=True)
    (tmp_path / "broken" / "test" / "one" / "bass.wav").write_text("no sound")
    found, out, err = call(evaluate.main, *arguments, "--json=r.json")
    assert found == code and out == ""
    assert complaint in err and err.splitlines()[-1].startswith("error: ")
    assert all(line.startswith(("error: ", "warning: the track one has no file of ")) for line in err.splitlines())
    assert not (tmp_path / "r.json").exists()


def test_export_counts_versions(call: Run, tmp_path: Path) -> None:
    assert call(export.main, "--model=toy", "--output=served/toy") == (0, "served/toy/1\n", "")
    assert (tmp_path / "served" / "toy" / "1" / "saved_model.pb").is_file()
    code, out, err = call(export.main, "--model=nothing", "--output=served/toy")
    assert code == 2 and out == "" and err.startswith("error: no model 'nothing'")
    assert [path.name for path in (tmp_path / "served" / "toy").iterdir()] == ["1"]


def test_coverage_is_counted_on_request(call: Run, tmp_path: Path) -> None:
    code, out, err = call(
        evaluate.main, "--model=toy", "--data=toy", "--num_mixtures=3", "--calibration", "--json=r.json"
    )
    assert code == 0 and err == ""
    found = record(tmp_path / "r.json")["calibration"]
    for nominal in ("50", "90"):
        assert set(found[nominal]) == {*TOY_SOURCES, "all"}
        assert all(0 <= share <= 1 for share in found[nominal].values())
        assert f"{nominal} % intervals cover: sine" in out
    assert all(found["50"][name] <= found["90"][name] for name in TOY_SOURCES)


def test_baselines_are_measured_by_name(call: Run, tmp_path: Path) -> None:
    write_tracks(tmp_path / "data", {"one": {"drums": stem(4), "mixture": stem(4) + stem(5)}})
    arguments = ["--model=songs", "--data=data", "--calibration", "--json=r.json"]
    code, out, _ = call(evaluate.main, *arguments, "--baselines=hpss")
    assert code == 0 and "\nhpss" in out
    found = record(tmp_path / "r.json")
    assert set(found["baselines"]) == {"mixture", "ideal_ratio_mask", "hpss"}
    assert found["calibration"]["90"]["bass"] is None and 0 <= found["calibration"]["90"]["drums"] <= 1
    for name, complaint in (("nfm", "some of nmf, hpss, ica, got 'nfm'"), ("ica", "as many channels as sources")):
        code, out, err = call(evaluate.main, *arguments, f"--baselines={name}")
        errors = [line for line in err.splitlines() if not line.startswith("warning: the track one")]
        assert code == 2 and out == "" and complaint in err and len(errors) == 1
