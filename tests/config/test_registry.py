"""Names for gin files: what is registered, and what is listed of each."""

from __future__ import annotations

import re

import pytest

from tfsep import config
from tfsep.config import registry
from tfsep.errors import InputError


def test_every_entry_of_the_table_can_be_registered() -> None:
    config.register()
    assert {entry.name for entry in config.TABLE} <= set(registry.KNOWN)


def test_all_of_a_description_is_listed() -> None:
    """Its markup and its last full stop are left out, none of its sentences."""
    config.register()
    listed = {line.split()[0]: re.split("  +", line)[3] for line in config.list_parameters("gibbs").splitlines()}
    assert listed["polish_sigma"] != listed["polish_levels"] and listed["polish_levels"].endswith("0 for none")
    assert '. (Training also accepts "validation"' in listed["choice"] and "`" not in listed["stacked"]


def test_what_the_command_sets_is_refused_in_files() -> None:
    config.register()
    with pytest.raises(InputError, match="'seed' of 'train' is set by a command-line option, not in gin files"):
        config.parse([], ["train.seed = 1"])
