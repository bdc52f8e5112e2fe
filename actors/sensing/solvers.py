"""Algorithms by name, so that a scenario can choose one, or name a user's own by dotted path (``my_lab.planning:best``)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def resolve(kind: str, name: str, known: Mapping[str, str]) -> Callable[..., Any]:
    """The function of that name; `known` has dotted paths by name. What it needs is imported now, and not before.

    Raises ValueError, naming `kind` and `name`, when there is none.
    """
    module, _, attribute = known.get(name, name).partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"{name!r} is no {kind}: one of {', '.join(known)}, or your own as module:function")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{kind} {name!r}: {error}") from None
    if not callable(found):
        raise ValueError(f"{kind} {name!r}: {attribute} is a {type(found).__name__}, not a function")  # noqa: TRY004 - of a name that a user gave
    return found  # type: ignore[no-any-return]
