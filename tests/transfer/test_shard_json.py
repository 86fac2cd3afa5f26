"""A shard of another version, or made by hand, is refused by name before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from django_fsspec.transfer import tasks
from django_fsspec.transfer.engine import Engine
from django_fsspec.transfer.journal import Journal
from django_fsspec.transfer.plan import BadPlan
from django_fsspec.transfer.shards import Shard
from tests.helpers import transfer_tasks
from tests.helpers.transfer_tasks import do, noted, papers, there, with_database

memory = transfer_tasks.memory

GONE = object()


def shard(order: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a shard as JSON, with changed keys, or without those that are ``GONE``."""
    given = {
        "run": "a run",
        "source": "default",
        "target": "second",
        "using": "default",
        "backend": "dummy",
        "queue": "default",
        "conditions": {},
        "workers": 2,
        "batch_size": 10,
        "verify": "checksum",
        "delete_source": False,
        "retries": 3,
        "retry_delay": 0,
        **(order or {}),
    }
    data = {
        "order": given,
        "column": "library.Paper.file",
        "after": None,
        "upto": None,
        "keys": None,
        "attempt": 1,
        **changes,
    }
    for keys in (given, data):
        for key in [key for key, value in keys.items() if value is GONE]:
            del keys[key]
    return data


@with_database
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        # these had the worker wait for ever, or go through the same rows again and again
        (shard({"workers": 0}), "'workers' must be 1 or more, not 0"),
        (shard({"workers": -1}), "'workers' must be 1 or more"),
        (shard({"batch_size": 0}), "'batch_size' must be 1 or more, not 0"),
        (shard({"batch_size": -5}), "'batch_size' must be 1 or more"),
        (shard({"retries": -1}), "'retries' must be 0 or more"),
        (shard({"retry_delay": -1}), "'retry_delay' must be 0 or more"),
        (shard({"retry_delay": float("nan")}), "'retry_delay' must be 0 or more"),
        (shard({"verify": "md5"}), "'verify' must be one of checksum, size, none, full"),
        # this one deletes, as text that is not empty
        (shard({"delete_source": "false"}), "'delete_source' must be true or false, not text"),
        (shard({"workers": "2"}), "'workers' must be a whole number, not text"),
        (shard({"workers": True}), "'workers' must be a whole number, not true or false"),
        (shard({"workers": None}), "'workers' must be a whole number, not null"),
        (shard({"workers": 1.5}), "'workers' must be a whole number, not a number"),
        (shard({"conditions": []}), "'conditions' must be an object, not a list"),
        (shard({"target": GONE}), "has no 'target'"),
        (shard({"speed": 1}), "has 'speed', which this version does not know"),
        (shard({"backend": "gone"}), "gone: it is not in TASKS"),
        (shard(column=GONE), "has no 'column'"),
        (shard(order=None, column="library"), "column must be app.Model.field"),
        (shard(color="red"), "has 'color', which this version does not know"),
        (shard(keys=[1]), "keys must be a list of text"),
        (shard(keys="12"), "'keys' must be a list or null, not text"),
        (shard(after=7), "'after' must be text or null, not a whole number"),
        (shard(attempt=0), "attempt must be 1 or more"),
        ({**shard(), "order": 7}, "'order' must be an object, not a whole number"),
        ([], "must be an object, not a list"),
        (None, "must be an object, not null"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_is_no_shard_is_refused_at_once(memory: None, data: Any, reason: str) -> None:
    papers(1)
    with pytest.raises(BadPlan) as refused:
        tasks.migrate_shard.func(data)
    assert reason in str(refused.value)
    assert noted() == []
    assert there("default") == ["p0"]


@with_database
def test_a_shard_without_what_has_a_default(memory: None) -> None:
    papers(2)
    short = shard({"workers": GONE, "retries": GONE}, after=GONE, keys=GONE, attempt=GONE)
    assert do(short)["counts"] == {"moved": 2}


@with_database
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (shard({"source": "gone"}), "--from gone: it is not in STORAGES"),
        (shard({"target": "gone"}), "--to gone: it is not in STORAGES"),
        (shard({"using": "gone"}), "The connection 'gone' doesn't exist"),
        (shard({"conditions": {"no_such": "1"}}), "--filter does not fit"),
        (shard(column="library.Gone.file"), "doesn't have a 'Gone' model"),
        (shard(after="seven"), "'seven' is no value of the field 'id'"),
        (shard(keys=["seven"]), "'seven' is no value of the field 'id'"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_settings_and_models_that_a_deployment_may_bring_are_waited_for_a_few_times(
    memory: None, data: Any, reason: str
) -> None:
    papers(1)
    data["order"]["retries"] = 2
    for attempt in (1, 2):
        result = do(data)
        assert (result["attempt"], result["counts"]) == (attempt, {})
        assert reason in result["error"]
        data = noted()[-1].args[0]
    with pytest.raises(Exception, match=reason):
        do(data)
    assert len(noted()) == 2


@with_database
def test_a_delay_that_doubles_for_ever_stays_a_delay(memory: None) -> None:
    data = shard({"target": "gone", "retries": 10_000, "retry_delay": 10}, attempt=5_000)
    assert do(data)["again"] == noted()[0].id


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"batch_size": 0}, {"limit": 0}, {"verify": "md5"}], ids=str
)
def test_an_engine_is_never_made_with_what_it_would_wait_for(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(BadPlan, match=f"^{name} must be"):
        Engine("second", Journal(), **options)


def test_a_shard_is_what_it_was(memory: None) -> None:
    made = Shard.from_json(shard(keys=["1", "2"]))
    # a queue may pickle it, so that nothing makes a list of a tuple
    assert made.to_json() == shard(keys=["1", "2"])
    assert Shard.from_json(made.to_json()) == made
