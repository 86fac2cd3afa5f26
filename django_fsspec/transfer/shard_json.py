"""Check the JSON of a shard: a queue may keep one of another version, or one made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from .plan import BadPlan, option_fault

Types: TypeAlias = "tuple[type, ...]"

_NOTHING = type(None)
_TEXT: Types = (str,)
_NUMBER: Types = (int,)
#: types of the values that JSON can hold, as messages name them
_LABELS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    _NOTHING: "null",
}

ORDER: dict[str, Types] = {
    "run": _TEXT,
    "source": _TEXT,
    "target": _TEXT,
    "using": _TEXT,
    "backend": _TEXT,
    "queue": _TEXT,
    "conditions": (dict,),
    "workers": _NUMBER,
    "batch_size": _NUMBER,
    "verify": _TEXT,
    "delete_source": (bool,),
    "retries": _NUMBER,
    "retry_delay": (int, float),
}
SHARD: dict[str, Types] = {
    "order": (dict,),
    "column": _TEXT,
    "after": (str, _NOTHING),
    "upto": (str, _NOTHING),
    "keys": (list, _NOTHING),
    "attempt": _NUMBER,
}
_NEEDED = {"run", "source", "target", "using", "backend", "queue", "order", "column"}


def check_shard(data: Any) -> None:
    """Raise ``BadPlan`` for what is no shard, naming the key that is wrong. No I/O."""
    _check(data, SHARD, "The shard")
    if data["column"].count(".") != 2:
        raise BadPlan(f"The shard's column must be app.Model.field, not {data['column']!r}.")
    if not all(isinstance(key, str) for key in data.get("keys") or ()):
        raise BadPlan("The shard's keys must be a list of text.")
    if data.get("attempt", 1) < 1:
        raise BadPlan(f"The shard's attempt must be 1 or more, not {data['attempt']}.")
    _check(data["order"], ORDER, "The order of the shard")


def _check(data: Any, types: Mapping[str, Types], what: str) -> None:
    if not isinstance(data, dict):
        raise BadPlan(f"{what} must be an object, not {_label(type(data))}.")
    if missing := sorted((_NEEDED & types.keys()) - data.keys()):
        raise BadPlan(f"{what} has no {missing[0]!r}. Enqueue the move again.")
    if unknown := sorted(data.keys() - types.keys()):
        raise BadPlan(
            f"{what} has {unknown[0]!r}, which this version does not know. Run the task with the "
            "version that enqueued it, or enqueue the move again."
        )
    for key, value in data.items():
        # not isinstance(): True is an int, and "false" would delete source files
        if type(value) not in types[key]:
            labels = " or ".join(map(_label, types[key]))
            raise BadPlan(f"{what}: {key!r} must be {labels}, not {_label(type(value))}.")
        if (fault := option_fault(key, value)) is not None:
            raise BadPlan(f"{what}: {key!r} {fault}, not {value!r}.")


def _label(of: type) -> str:
    return _LABELS.get(of, of.__name__)
