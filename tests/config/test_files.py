"""Every gin file is found by the names that it has and had, in a clone and in an installed package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tfsep import bundled
from tfsep.bundled import bundled_folder
from tfsep.config import files
from tfsep.errors import InputError

# All names of the time when the files lay side by side.
FLAT = """
contrastive_stems contrastive_toy denoiser_stems flowavenet_wave glow_mel glow_stft glow_stft_local glow_wave
lifting_sharp lifting_stft lifting_wave musdb18_songs nice_wave posterior_fit prior_fit realnvp_stft realnvp_wave
retrieval_wave score_wave songs songs_denoisers songs_full songs_supervised stems_background stems_further
stems_further_likelihood stems_prior template_wave toy toy_both toy_elbo toy_free toy_free_masks toy_langevin
toy_mean_field toy_mean_field_exchanged toy_refined toy_simulated toy_supervised wave_flow waveglow_wave wavetable_free
wavetable_wave data/musdb18 data/sounds data/stems data/toy data/toy_free paper/flowavenet_wave paper/flowavenet_wave_4
paper/flowavenet_wave_clean paper/glow_mel paper/glow_mel_16 paper/toy
""".split()
# Files that were written after that time.
LATER = {
    "data/songs.gin",
    "glow_bins.gin",
    "glow_ordered.gin",
    "jacobi_from_silence.gin",
    "lifting_conditionals.gin",
    "nice_ordered.gin",
    "realnvp_bins.gin",
    "realnvp_ordered.gin",
    "score_matched_wave.gin",
    "songs_bands.gin",
    "songs_temporal.gin",
    "songs_trunk.gin",
    "spectral_free.gin",
    "spectral_pitches.gin",
    "spectral_pulse.gin",
    "spectral_wave.gin",
    "stems_conditionals.gin",
    "stems_glow_long.gin",
    "stems_flows.gin",
    "toy_elbo_four.gin",
    "toy_flow.gin",
    "toy_flow_both.gin",
    "toy_flow_pairs.gin",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look for files from a folder that has none."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_file_is_missing_from_the_list() -> None:
    found = {path.relative_to(bundled_folder("gin")).as_posix() for path in bundled_folder("gin").rglob("*.gin")}
    moved = {name.removeprefix("parts/").removeprefix("ablations/") for name in found}
    assert len(FLAT) == 54 and {f"{name}.gin" for name in FLAT} == moved - LATER and moved >= LATER


@pytest.mark.parametrize("name", FLAT)
def test_a_file_is_found_by_its_old_and_its_new_name(name: str) -> None:
    found = files.find(f"gin/{name}.gin")
    assert found == files.find(f"{name}.gin")
    relative = found.relative_to(bundled_folder("gin")).as_posix()
    assert relative.endswith(f"{name}.gin") and relative.count("/") <= 1
    assert files.find(relative) == files.find(f"gin/{relative}") == files.find(str(found)) == found


@pytest.mark.parametrize(("old", "new"), files.ALIASES.items())
def test_a_renamed_file_keeps_its_name_as_an_alias(old: str, new: str) -> None:
    assert files.find(old) == files.find(f"gin/{old}") == files.find(new)


def test_the_file_of_a_name_without_a_folder_is_the_one_nearest_to_the_top() -> None:
    assert files.find("toy_free.gin") == bundled_folder("gin") / "toy_free.gin"
    assert files.find("glow_mel.gin") == bundled_folder("gin") / "ablations" / "glow_mel.gin"
    assert files.find("musdb18.gin") == bundled_folder("gin") / "data" / "musdb18.gin"


def test_own_files_come_first(elsewhere: Path) -> None:
    for folder in ("more", "gin"):
        (elsewhere / folder).mkdir()
        (elsewhere / folder / "toy.gin").write_text("")
    assert files.find("toy.gin") == bundled_folder("gin") / "toy.gin"
    assert files.find("toy.gin", ["more"]) == Path("more/toy.gin")
    assert files.find("gin/toy.gin", ["more"]) == Path("gin/toy.gin")
    (elsewhere / "toy.gin").write_text("")
    assert files.find("toy.gin", ["more"]) == Path("toy.gin")


def test_the_files_of_an_installed_package_are_found(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = elsewhere / "site-packages" / "tfsep"
    shutil.copytree(bundled_folder("gin"), installed / "share" / "gin")
    monkeypatch.setattr(bundled, "_PACKAGE", installed)
    assert files.find("glow_stft.gin") == installed / "share" / "gin" / "glow_stft.gin"
    assert files.find("gin/toy_both.gin") == installed / "share" / "gin" / "ablations" / "toy_both.gin"


def test_a_file_of_the_gin_folder_includes_others_of_it_before_those_of_the_search_path(elsewhere: Path) -> None:
    (elsewhere / "toy.gin").write_text("")
    folder = bundled_folder("gin")
    assert files.find_included("toy.gin", folder / "ablations", [elsewhere], "here") == folder / "toy.gin"
    assert files.find_included("toy.gin", elsewhere, [], "here") == elsewhere / "toy.gin"
    assert files.find_included("toy.gin", None, [elsewhere], "here") == elsewhere / "toy.gin"


@pytest.mark.parametrize("name", ["glow_stftt.gin", "gin/glow_stftt.gin"])
def test_a_missing_file_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(InputError, match=f"^no such gin file: {name}; did you mean 'glow_stft.gin'\\?$"):
        files.find(name)
    with pytest.raises(InputError, match=f"^x.gin, line 3: no such file: {name}; did you mean 'glow_stft.gin'\\?$"):
        files.find_included(name, None, [], "x.gin, line 3")


@pytest.mark.parametrize("name", ["gin", "gin/", ".", ""])
def test_a_folder_is_no_gin_file(name: str) -> None:
    with pytest.raises(InputError, match="^no such gin file: "):
        files.find(name)


def test_a_file_of_the_clone_is_found_from_any_folder(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = elsewhere / "clone"
    (clone / "gin").mkdir(parents=True)
    (clone / "runs").mkdir()
    (clone / "runs" / "config.gin").touch()
    monkeypatch.setattr(files, "bundled_folder", lambda name: clone / name)
    assert files.find("runs/config.gin") == clone / "runs" / "config.gin"
