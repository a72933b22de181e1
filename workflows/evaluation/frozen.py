"""What the context of an expression is made of: objects and lists that have keys and items, and nothing else.

The engine would otherwise find Python's own attributes beside the keys of an object, call them, and change with them
what the next expression sees. Used in the child alone, and pure.
"""

from __future__ import annotations

from typing import Any, NoReturn


class _Asked:
    """For which key an object was asked in vain, just before."""

    in_vain: Any = None


class Object(dict[str, Any]):
    """`items` must be there for the engine to see an object at all, and must not where it is asked for as a key."""

    __slots__ = ()

    def __missing__(self, key: Any) -> NoReturn:
        _Asked.in_vain = key
        raise KeyError(key)

    def __getattribute__(self, name: str) -> Any:
        missed, _Asked.in_vain = _Asked.in_vain, None
        if name[:2] == "__" or (name == "items" and missed != "items"):
            return dict.__getattribute__(self, name)
        raise AttributeError("an object has no functions")


class Rows(list[Any]):
    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name[:2] == "__":
            return list.__getattribute__(self, name)
        raise AttributeError("a list has no functions")


def frozen(value: dict[str, Any]) -> Object:
    """As json.loads(object_hook=…) hands each object over, the innermost first."""
    for key, item in value.items():
        if type(item) is list:
            value[key] = rows(item)
    return Object(value)


def rows(items: list[Any]) -> Rows:
    return Rows([rows(item) if type(item) is list else item for item in items])
