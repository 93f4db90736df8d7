"""Everything that a gin file can name: functions and classes by the table below, and every kind of prior and posterior.

Each name is known with its parameters, their types and what they mean, so that a misspelt one is
refused with the nearest and all of them can be listed.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tfsep.config.annotations import fits
from tfsep.config.statements import Macro, Reference, Setting, leaves, shortened, with_leaves
from tfsep.errors import InputError
from tfsep.signatures import described_parameters, did_you_mean, keyword_parameters, refuse_unknown

#: What is listed under one heading, in order; the first two are the kinds of tfsep's registries.
GROUPS = ("priors", "posteriors", "data", "training")
#: Each alias of a kind, "the one in use", and the group of the kinds.
ALIASES = {"prior": "priors", "posterior": "posteriors"}
_REGISTRIES = {"priors": "tfsep.priors.registry", "posteriors": "tfsep.posteriors.registry"}
_RUN = ("save_dir", "seed", "resume")
_PART = ("Entry", "Settings", "PartSettings", "Mapping", "dict")
# What parts of a group are in annotations. Kinds are described, and built where they are used.
_GIVEN = {
    "priors": frozenset(_PART),
    "posteriors": frozenset((*_PART, "Posterior")),
    "data": frozenset(("SourceData",)),
}


@dataclass(frozen=True)
class Entry:
    """A name for gin files: a function or class of a module, and the parameters that files may not set."""

    name: str
    module: str
    attribute: str
    closed: tuple[str, ...] = ()
    group: str = "training"

    def load(self) -> Configurable:
        """Import the function or class."""
        target = getattr(importlib.import_module(self.module), self.attribute)
        descriptions: dict[str, str] = {}
        for documented in reversed(inspect.getmro(target)) if inspect.isclass(target) else (target,):
            descriptions |= described_parameters(documented)
        parameters = keyword_parameters(target, without=())
        return Configurable(self.name, self.group, target, parameters, descriptions, self.closed)


@dataclass(frozen=True)
class Configurable:
    """A name for gin files that has been imported.

    Attributes:
        name: as files write it.
        group: one of :data:`GROUPS`.
        build: what is called with the parameters.
        parameters: with annotation and default, in order.
        descriptions: text by parameter, on one line each.
        closed: parameters that files may not set.
    """

    name: str
    group: str
    build: Callable[..., object]
    parameters: Mapping[str, inspect.Parameter]
    descriptions: Mapping[str, str]
    closed: tuple[str, ...] = ()

    @property
    def is_kind(self) -> bool:
        """Whether it is a kind of prior or posterior: a description of a part, not the part itself."""
        return self.group in _REGISTRIES

    @property
    def runs(self) -> bool:
        """Whether it is a whole run, which files set and never call."""
        return set(_RUN) <= set(self.closed)

    @property
    def gives(self) -> frozenset[str]:
        """The names of what it builds, as annotations write them; none where anything may be built."""
        if self.group not in ("data", *_REGISTRIES):
            return frozenset((self.build.__name__,)) if inspect.isclass(self.build) else frozenset()
        return _GIVEN[self.group]

    @property
    def open_parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters that files may set."""
        return {name: each for name, each in self.parameters.items() if name not in self.closed}


TABLE = (
    Entry("fit", "tfsep.training.task", "FitSettings"),
    Entry("toy", "tfsep.data.toy", "ToyData", group="data"),
    Entry("stems", "tfsep.data.stems", "StemsData", group="data"),
    Entry("sounds", "tfsep.data.sounds", "SoundsData", group="data"),
    Entry("effects", "tfsep.data.effects", "Effects"),
    Entry("musdb", "tfsep.data.musdb", "MusdbData", group="data"),
    Entry("pooled", "tfsep.data.pooled", "PooledData", group="data"),
    Entry("aligned_stems", "tfsep.baselines.supervised", "AlignedStems", group="data"),
    Entry("objective", "tfsep.training.posterior_objectives", "ObjectiveSettings"),
    Entry("train", "tfsep.recipes.train", "train", closed=_RUN),
    Entry("fine_tune", "tfsep.recipes.fine_tuning", "fine_tune", closed=_RUN),
    Entry("match_scores", "tfsep.recipes.score_matching", "match_scores", closed=_RUN),
    Entry("refine", "tfsep.recipes.add_priors", "refine", closed=_RUN),
)
#: What has been imported so far, by name.
KNOWN: dict[str, Configurable] = {}


def load(table: Sequence[Entry] | None = None) -> list[Configurable]:
    """Import the entries of a table, or :data:`TABLE` and all kinds; return those that were not known before."""
    found = [entry.load() for entry in (TABLE if table is None else table) if entry.name not in KNOWN]
    if table is None:
        found += [each for group in _REGISTRIES for each in _kinds(group) if each.name not in KNOWN]
    KNOWN.update((each.name, each) for each in found)
    return found


def kinds(group: str) -> list[str]:
    """Return the names of a group that are known so far."""
    return [name for name, each in KNOWN.items() if each.group == group]


def check(setting: Setting, macros: Mapping[str, object]) -> None:
    """Check that a setting names a parameter that exists, with a value of its type.

    Args:
        setting: in the present spelling.
        macros: values by name.

    Raises:
        InputError: in one line, with the nearest name where there is one.
    """
    for leaf in leaves(setting.value):
        if isinstance(leaf, Reference):
            referred = _known(leaf.name, f"{setting.where}: {shortened(str(leaf))}")
            if referred.runs:
                raise InputError(f"{setting.where}: {leaf}: '{leaf.name}' is a whole run and no part of another")
            if not leaf.called:
                raise InputError(f"{setting.where}: {leaf}: a reference needs its brackets: {leaf}()")
    if not setting.parameter:
        return
    configurable = _known(setting.name, setting.where)
    if setting.parameter in configurable.closed:
        given = f"'{setting.parameter}' of '{setting.name}'"
        raise InputError(f"{setting.where}: {given} is set by a command-line option, not in gin files")
    refuse_unknown(f"{setting.where}: '{setting.name}'", [shortened(setting.parameter)], configurable.open_parameters)
    annotation = annotation_of(configurable.parameters[setting.parameter])
    value = _without_macros(setting.value, macros)
    if annotation and not fits(value, annotation, lambda reference: _known(reference.name, setting.where).gives):
        raise InputError(f"{setting.where}: {setting.key} must be {annotation}, got {shortened(repr(value))}")


def _without_macros(value: object, macros: Mapping[str, object]) -> object:
    """Return a value with its macros expanded; that they end is checked before."""
    return with_leaves(
        value, lambda leaf: _without_macros(macros.get(leaf.name), macros) if isinstance(leaf, Macro) else leaf
    )


def annotation_of(parameter: inspect.Parameter) -> str:
    """Return a parameter's annotation as Python text, "" where it has none."""
    if parameter.annotation is inspect.Parameter.empty:
        return ""
    return parameter.annotation if isinstance(parameter.annotation, str) else parameter.annotation.__name__


def list_names() -> str:
    """Return all names, a line for each group."""
    lines = [f"{group}: {', '.join(sorted(kinds(group)))}" for group in GROUPS]
    return "\n".join(lines)


def list_parameters(name: str) -> str:
    """Return a line for each parameter of a name: its name, type, default and meaning.

    Raises:
        InputError: for a name that is not known.
    """
    if name in ALIASES:
        raise InputError(f"'{name}' refers to the kind in use: one of {', '.join(sorted(kinds(ALIASES[name])))}")
    configurable = _known(name, "--list_parameters")
    rows = [
        (each.name, annotation_of(each), _default(each), _plain(configurable.descriptions.get(each.name, "")))
        for each in configurable.open_parameters.values()
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _default(parameter: inspect.Parameter) -> str:
    return "required" if parameter.default is inspect.Parameter.empty else repr(parameter.default)


def _plain(text: str) -> str:
    """Return a docstring's text without its markup and its last full stop."""
    return re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("`", "").removesuffix(".")


def _known(name: str, where: str) -> Configurable:
    if name not in KNOWN:
        raise InputError(f"{where}: unknown name '{shortened(name)}'{did_you_mean(name, KNOWN)}")
    return KNOWN[name]


def _kinds(group: str) -> list[Configurable]:
    """Return the kinds of a registry; what they build is the arguments of the registry's ``build``."""
    registry = importlib.import_module(_REGISTRIES[group])
    defaults = {"domain": "wave"} if group == "priors" else {}
    return [
        Configurable(
            kind,
            group,
            functools.partial(_arguments, kind, defaults),
            registry.parameters(kind),
            registry.describe_parameters(kind),
        )
        for kind in registry.KINDS
    ]


def _arguments(kind: str, defaults: Mapping[str, object], **settings: object) -> dict[str, object]:
    """Return the arguments that describe a part: its kind and what a file sets, no defaults besides."""
    return {"kind": kind, **defaults, **settings}
