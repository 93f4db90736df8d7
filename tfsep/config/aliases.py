"""The older spelling of priors and posteriors, rewritten into the present one.

=========  =====================================================  =======================================
           older: one alias for all kinds                         present: a kind by its own name
=========  =====================================================  =======================================
prior      ``train.prior = @prior()``, ``prior.kind = 'glow'``    ``train.prior = @glow()``
setting    ``prior.num_steps = 6``                                ``glow.num_steps = 6``
posterior  ``@gibbs/posterior()``, ``gibbs/posterior.X = 1``      ``@gibbs()``, ``gibbs.X = 1``
of a kind  ``@warm_gibbs/posterior()``                            ``@warm/gibbs()``
=========  =====================================================  =======================================

Both may be mixed. ``prior.num_steps`` sets what ``train.prior`` names, whatever its kind; where
``prior.kind`` comes after it, the prior becomes one of that kind and keeps the settings made for
the kind before.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from tfsep.config.statements import Macro, Reference, Setting, leaves, with_leaves
from tfsep.errors import InputError
from tfsep.signatures import did_you_mean


class Target(NamedTuple):
    """A kind under a scope; "" is the kind's own settings, which no other scope inherits."""

    scope: str
    kind: str


def resolve_alias(settings: Sequence[Setting], alias: str, kinds: Collection[str]) -> list[Setting]:
    """Return settings without an alias: "prior" or "posterior", of the given kinds.

    Raises:
        InputError: for a kind that is not known, or an alias that refers to nothing.
    """
    return _Resolution(settings, alias, kinds).resolved() if kinds else list(settings)


class _Resolution:
    """What an alias refers to in one configuration."""

    def __init__(self, settings: Sequence[Setting], alias: str, kinds: Collection[str]) -> None:
        self._settings, self._alias, self._kinds = settings, alias, kinds
        self._macros = {each.name: each.value for each in settings if not each.parameter}
        # In force are the last settings of every key; what they refer to is in use.
        in_force = {each.key: index for index, each in enumerate(settings)}
        self._in_use: dict[Target, int] = {}
        self._scopes = {each.scope for each in settings if each.name == alias}
        for index in in_force.values():
            for leaf in leaves(settings[index].value):
                if isinstance(leaf, Reference) and leaf.name in kinds:
                    self._in_use[self._target(leaf.scope, leaf.name)] = index
                elif isinstance(leaf, Reference) and leaf.name == alias:
                    self._scopes.add(leaf.scope)
        self._named = {
            each.scope: (self._kind(each), index)
            for index, each in enumerate(settings)
            if each.name == alias and each.parameter == "kind"
        }
        own = [index for target, index in self._in_use.items() if not target.scope]
        if "" in self._named and max(own, default=-1) > self._named[""][1]:
            del self._named[""]
        self._renamed = dict(self._renames())

    def resolved(self) -> list[Setting]:
        """Return the settings without the alias.

        What scopes inherit from an alias without one comes first, so that their own settings
        replace it.
        """
        inherited: list[Setting] = []
        own: list[Setting] = []
        for each in self._settings:
            change = functools.partial(self._leaf, where=each.where)
            each = replace(each, value=with_leaves(each.value, change))
            if each.name in self._kinds and each.parameter:
                own.append(self._moved(each, self._target(each.scope, each.name)))
            elif each.name != self._alias or not each.parameter:
                own.append(each)
            elif each.parameter != "kind":
                here, below = self._targets(each)
                own += [self._moved(each, target) for target in here]
                inherited += [self._moved(each, target) for target in below]
        return [*inherited, *own]

    def _targets(self, setting: Setting) -> tuple[list[Target], list[Target]]:
        """Return what a setting of the alias sets, and which scopes below its own inherit it."""
        scope = setting.scope
        meant = self._meant(scope)
        inner = [each for each in sorted(self._scopes) if each != scope and (not scope or each.startswith(f"{scope}/"))]
        below = [target for target in map(self._meant, inner) if target is not None and target != meant]
        here = [meant] if meant is not None else ([] if scope else list(self._in_use))
        if not here and not below:
            raise InputError(f"{setting.where}: {setting.key}: {self._nothing(scope)}")
        return here, below

    def _meant(self, scope: str) -> Target | None:
        """Return what the alias refers to under a scope, None where nothing says so."""
        parents = ["/".join(scope.split("/")[:count]) for count in range(len(scope.split("/")) - 1, 0, -1)]
        named = next((self._named[each][0] for each in (scope, *parents, "") if each in self._named), None)
        by_name = self._by_name(scope)
        if named is None:
            return by_name
        return by_name if by_name is not None and by_name.kind == named else Target(scope, named)

    def _by_name(self, scope: str) -> Target | None:
        """Return what a scope refers to by its name: "gibbs" for ``gibbs``, "warm_gibbs" for ``warm/gibbs``."""
        outer, _, last = scope.rpartition("/")
        for kind in sorted(self._kinds, key=len, reverse=True):
            if last == kind or last.endswith(f"_{kind}"):
                prefix = last[: -len(kind)].rstrip("_")
                return Target("/".join(part for part in (outer, prefix) if part), kind)
        return None

    def _renames(self) -> list[tuple[Target, Target]]:
        """Return what becomes another kind because the alias names one after it."""
        found: list[tuple[Target, Target]] = []
        for scope, (kind, index) in self._named.items():
            before = self._by_name(scope)
            if before is not None and before.kind != kind:
                found.append((before, Target(scope, kind)))
            if not scope and self._alias == "prior":
                olds = [target for target, used in self._in_use.items() if not target.scope and used < index]
                found += [(old, Target("", kind)) for old in olds if old.kind != kind]
        return found

    def _target(self, scope: str, kind: str) -> Target:
        """Return the canonical form of a kind under a scope: ``gibbs/gibbs`` is ``gibbs``."""
        return Target("" if scope == kind else scope, kind)

    def _moved(self, setting: Setting, target: Target) -> Setting:
        scope, kind = self._renamed.get(target, target)
        return replace(setting, scope=scope, name=kind)

    def _leaf(self, leaf: object, where: str) -> object:
        """Return a part of a value with its references rewritten."""
        if not isinstance(leaf, Reference) or leaf.name not in (self._alias, *self._kinds):
            return leaf
        target: Target | None = self._target(leaf.scope, leaf.name)
        if leaf.name == self._alias:
            own = [each for each in self._in_use if not each.scope]
            target = self._meant(leaf.scope) or (own[0] if not leaf.scope and len(own) == 1 else None)
        if target is None:
            raise InputError(f"{where}: {leaf}: {self._nothing(leaf.scope)}")
        scope, kind = self._renamed.get(target, target)
        return Reference(scope, kind, leaf.called)

    def _nothing(self, scope: str) -> str:
        """Return what is said of an alias that refers to nothing."""
        return f"no kind of {self._alias} is in use" + (f" under {scope!r}" if scope else "")

    def _kind(self, setting: Setting) -> str:
        """Return the kind that a setting names.

        Raises:
            InputError: for one that is not known.
        """
        value = setting.value
        while isinstance(value, Macro):
            value = self._macros.get(value.name)
        if not isinstance(value, str) or value not in self._kinds:
            known = ", ".join(sorted(self._kinds))
            hint = did_you_mean(str(value), self._kinds)
            raise InputError(f"{setting.where}: {setting.key} must be one of {known}, got {value!r}{hint}")
        return value
