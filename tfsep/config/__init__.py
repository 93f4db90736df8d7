"""Gin configuration: names with typed parameters, a strict reader, the call into the configured run.

Gin files are data, never code. All of a configuration is read and checked before any of it takes
effect: a name that is not registered, a parameter that does not exist, a value of another type, a
macro that is undefined or used by nothing is an error in one line.

A kind of prior or posterior is configured by its own name, ``glow.num_steps = 6``, and a second one
of the same kind under a scope, ``warm/gibbs.num_levels = 13``, which inherits nothing from
``gibbs``.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence

import gin.config as gin

from tfsep.config import bounds, registry
from tfsep.config.aliases import resolve_alias
from tfsep.config.reader import read
from tfsep.config.registry import TABLE, Configurable, Entry, list_names, list_parameters
from tfsep.config.statements import Macro, Reference, Setting, parsed_value, scoped, with_leaves
from tfsep.errors import InputError, JobError, TfsepError

__all__ = [
    "TABLE",
    "Entry",
    "apply",
    "bindings",
    "call",
    "list_names",
    "list_parameters",
    "normalised",
    "operative_config",
    "parse",
    "read",
    "register",
]

_STARTED: dict[str, Callable[[], None]] = {}
_BINDINGS: dict[str, str] = {}


def register(table: Sequence[Entry] | None = None) -> None:
    """Make names known to gin, each as a factory function; those known already are left alone.

    Args:
        table: what to register; None is everything, kinds of priors and posteriors included.
    """
    for configurable in registry.load(table):
        with gin.unlock_config():
            gin.external_configurable(
                _factory(configurable), configurable.name, module="tfsep", denylist=list(configurable.closed) or None
            )


def _factory(configurable: Configurable) -> Callable[..., object]:
    """Wrap a class or function, since gin breaks Keras classes; run what waits for its first call by :func:`call`.

    Gin adds the defaults of a signature to the operative configuration. Those of a kind stay out of
    it, so that a model trained from it is described by the same settings as one trained from the
    file.
    """
    target = configurable.build

    def build(*args: object, **kwargs: object) -> object:
        _STARTED.pop(configurable.name, lambda: None)()
        return target(*args, **kwargs)

    if not configurable.is_kind:
        functools.update_wrapper(build, target)
        build.__signature__ = inspect.signature(target)  # type: ignore[attr-defined]
    return build


def parse(gin_files: Sequence[str], gin_params: Sequence[str] = (), search_paths: Sequence[str] = ()) -> None:
    """Forget the configuration so far and read a new one; see :func:`read` and :func:`apply`."""
    apply([])
    apply(read(gin_files, gin_params, search_paths))


def apply(settings: Sequence[Setting]) -> None:
    """Forget the configuration so far and make these settings the new one, later ones over earlier ones.

    Raises:
        InputError: in one line, with file, line and name, for a name, a parameter or a type that is
            not known.
    """
    gin.clear_config()
    _BINDINGS.clear()
    present = _without_aliases(settings)
    macros = {each.name: each.value for each in present if not each.parameter}
    for each in present:
        registry.check(each, macros)
    bounds.check_references(present, frozenset(name for name, each in registry.KNOWN.items() if each.is_kind))
    _BINDINGS.update({each.key: each.text for each in present})
    for each in present:
        key = (_gin_scope(each.scope, each.name), each.name, each.parameter)
        gin.bind_parameter(key if each.parameter else (each.name, "gin.macro", "value"), with_leaves(each.value, _leaf))
    gin.finalize()


def bindings() -> dict[str, str]:
    """Return every parameter that is set, as {name: value as gin text}."""
    return dict(_BINDINGS)


def normalised(texts: Mapping[str, str]) -> dict[str, str]:
    """Return bindings in the present spelling and form, as :func:`bindings` gives them; others as they are.

    Args:
        texts: {name: value as gin text}, such as a run of an earlier version wrote them.
    """
    try:
        settings = [_setting(key, text) for key, text in texts.items()]
        return {each.key: each.text for each in _without_aliases(settings)}
    except InputError:
        return dict(texts)


def operative_config() -> str:
    """Return, as a gin file, every parameter used so far with its value, defaults included."""
    text: str = gin.operative_config_str()
    kinds = "|".join(name for name, each in registry.KNOWN.items() if each.is_kind)
    return re.sub(rf"\b({kinds})/\1\b", r"\1", text) if kinds else text


def call(name: str, started: Callable[[], None] | None = None, **arguments: object) -> object:
    """Call a registered function with the configuration in force.

    Args:
        name: registered name.
        started: called once, when the function's configured arguments have been built and before it
            runs.
        arguments: further arguments of the function.

    Raises:
        TfsepError: those of the function, without gin's additions to their text.
        InputError: a parameter without a default is not set.
    """
    if started is not None:
        _STARTED[name] = started
    try:
        return gin.get_configurable(scoped(_gin_scope("", name), name))(**arguments)
    except TfsepError as error:
        kind = next(k for k in (InputError, JobError, TfsepError) if isinstance(error, k))
        raise kind(str(error).partition("\n  In call to")[0]) from error
    except (RuntimeError, TypeError) as error:
        text = str(error).partition("\n")[0]
        if "not provided in config" in text or "No values supplied by Gin or caller" in str(error):
            raise InputError(f"the gin configuration is incomplete: {text}") from error
        raise
    finally:
        _STARTED.pop(name, None)


def _without_aliases(settings: Sequence[Setting]) -> list[Setting]:
    bounds.check_macros(settings)
    present = list(settings)
    for alias, group in registry.ALIASES.items():
        present = resolve_alias(present, alias, registry.kinds(group))
    return present


def _setting(key: str, text: str) -> Setting:
    """Return the setting of a key, ``scope/name.parameter`` or a macro's, and the text of its value."""
    left, _, parameter = key.rpartition(".")
    scope, _, name = (left or key).rpartition("/")
    return Setting(scope, name, parameter, parsed_value(text)) if left else Setting("", key, "", parsed_value(text))


def _gin_scope(scope: str, name: str) -> str:
    """Return the scope that gin is given: a kind without one has its own, which no other scope inherits from."""
    return name if not scope and name in registry.KNOWN and registry.KNOWN[name].is_kind else scope


def _leaf(leaf: object) -> object:
    """Return a part of a value with gin's own references and macros."""
    delegate = gin.ParserDelegate()
    if isinstance(leaf, Reference):
        selector = scoped(_gin_scope(leaf.scope, leaf.name), leaf.name)
        return delegate.configurable_reference(selector, leaf.called)
    return delegate.macro(leaf.name) if isinstance(leaf, Macro) else leaf
