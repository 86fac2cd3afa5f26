"""django-simple-history with others at work, rollbacks, and rows made of history rows."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from simple_history.signals import pre_create_historical_record

from tests.helpers import row_faults
from tests.helpers.row_faults import assign
from tests.helpers.row_files import Mishap, there

from .files import contents, names, stored

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

attribute = row_faults.attribute
save = row_faults.save
autocommit = row_faults.autocommit

Save = Callable[..., None]


def without_history(models: Any, attribute: str, *files: str) -> Any:
    row = models.Document()
    assign(row, attribute, *files)
    row.save_without_historical_record()
    return row


def replaced(models: Any, attribute: str, content: str) -> None:
    """Replace the files of the only document, without a history row."""
    other = models.Document.objects.get()
    assign(other, attribute, content)
    other.save_without_historical_record()


def dangling(models: Any, attribute: str) -> list[str]:
    """Return the files that rows or history rows hold, and that do not exist."""
    held = names(models.Document.objects.all(), attribute)
    held += names(models.Document.history.all(), attribute)
    return sorted({name for each in held for name in each} - set(stored()))


@contextlib.contextmanager
def before_history(action: Callable[[], None]) -> Iterator[None]:
    """Do something once before the next history row is written."""
    actions = [action]

    def receiver(**kwargs: Any) -> None:
        if actions:
            actions.pop()()

    pre_create_historical_record.connect(receiver)
    try:
        yield
    finally:
        pre_create_historical_record.disconnect(receiver)


# replaced meanwhile


def test_a_file_that_was_replaced_before_its_history_row_is_copied(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    row = without_history(models, attribute, "one")
    row.save()  # the first history row
    row.title = "edited"
    with before_history(lambda: replaced(models, attribute, "two")):
        save(row)
    assert contents(models.Document.history.all(), attribute) == [["one"], ["one"]]
    assert (there(), dangling(models, attribute)) == (["one", "one", "two"], [])


def test_a_file_that_is_gone_before_its_history_row_raises(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    row = without_history(models, attribute, "one")
    row.title = "edited"
    with (
        before_history(lambda: replaced(models, attribute, "two")),
        pytest.raises(FileNotFoundError),
    ):
        save(row)
    assert models.Document.history.count() == 0
    assert (there(), dangling(models, attribute)) == (["two"], [])


def test_a_row_that_is_deleted_before_its_history_row(
    memory: None, models: Any, attribute: str
) -> None:
    row = without_history(models, attribute, "one")
    row.title = "edited"
    with before_history(lambda: models.Document.objects.all().delete()):
        row.save()
    # the deletion left a history row of its own
    assert (there(), dangling(models, attribute)) == (["one", "one"], [])


def test_a_replacement_waits_for_a_history_row(memory: None, models: Any, attribute: str) -> None:
    if connection.vendor == "sqlite":
        return  # one writer at a time: the other would be refused
    row = without_history(models, attribute, "one")
    order: list[str] = []

    def replace() -> None:
        try:
            replaced(models, attribute, "two")
            order.append("replaced")
        finally:
            connections.close_all()

    other = threading.Thread(target=replace)
    with transaction.atomic():
        models.Document.history.bulk_history_create([row], update=True)
        other.start()
        other.join(1)
        order.append("committed")
    other.join()
    assert order == ["committed", "replaced"]
    assert contents(models.Document.history.all(), attribute) == [["one"]]
    assert (there(), dangling(models, attribute)) == (["one", "two"], [])


def test_edits_and_replacements_in_two_threads(memory: None, models: Any, attribute: str) -> None:
    if connection.vendor == "sqlite":
        return  # one writer at a time: the other would be refused
    without_history(models, attribute, "0")
    errors: list[Exception] = []

    def edit() -> None:
        for number in range(30):
            row = models.Document.objects.get()
            row.title = str(number)
            # replaced between the row and its history row
            with contextlib.suppress(FileNotFoundError):
                row.save()

    def replace() -> None:
        for number in range(30):
            replaced(models, attribute, str(number))

    def clean() -> None:
        for _ in range(30):
            models.Document.history.all().delete()

    def work(job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[job]) for job in (edit, replace, clean)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, dangling(models, attribute)) == ([], [])
    models.Document.objects.all().delete()
    models.Document.history.all().delete()
    assert there() == []


def test_a_row_that_leaves_its_file_to_history_while_others_look_for_it(
    memory: None, models: Any, attribute: str
) -> None:
    row = without_history(models, attribute, "one")
    row.save()
    [name] = stored()
    tables = {"histories_document", "histories_historicaldocument"}
    seen: set[str] = set()

    def before_the_second(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        table = sql.replace("`", '"').partition(' FROM "')[2].partition('"')[0]
        if table in tables - seen and attribute in sql and name in str(params):
            seen.add(table)
            if seen == tables:
                row.delete()
        return execute(sql, params, *rest)

    with connection.execute_wrapper(before_the_second):
        models.Document.history.all().delete()
    assert dangling(models, attribute) == []
    # whoever looks at histories first would not see the file in any
    assert seen == {"histories_document"}
    row.delete()
    assert contents(models.Document.history.all(), attribute) == [["one"]]


# rollbacks


def test_rollbacks(memory: None, models: Any, attribute: str, save: Save) -> None:
    def create() -> Any:
        row = models.Document()
        assign(row, attribute, "one")
        save(row)
        return row

    with pytest.raises(Mishap), transaction.atomic():
        create()
        raise Mishap
    assert (there(), models.Document.history.count()) == ([], 0)
    row = create()
    with pytest.raises(Mishap), transaction.atomic():
        row.title = "edited"
        save(row)
        assign(row, attribute, "two")
        save(row)
        raise Mishap
    assert there() == ["one"]
    with pytest.raises(Mishap), transaction.atomic():
        models.Document.objects.get().delete()
        raise Mishap
    assert contents(models.Document.history.all(), attribute) == [["one"]]
    assert (there(), dangling(models, attribute)) == (["one"], [])


def test_a_deletion_that_is_rolled_back_to_a_savepoint(
    memory: None, models: Any, attribute: str
) -> None:
    row = without_history(models, attribute, "one")
    with transaction.atomic():
        with pytest.raises(Mishap), transaction.atomic():
            models.Document.objects.get().delete()
            raise Mishap
        row.title = "edited"
        row.save()
    assert names(models.Document.history.all(), attribute) == [stored()]
    models.Document.history.all().delete()
    assert (there(), dangling(models, attribute)) == (["one"], [])


def test_a_row_that_is_deleted_and_inserted_again_in_one_transaction(
    memory: None, models: Any, attribute: str
) -> None:
    row = without_history(models, attribute, "one")
    with transaction.atomic():
        models.Document.objects.get().delete()
        assign(row, attribute, "two")
        row.save()
    assert contents(models.Document.history.all(), attribute) == [["one"], ["two"]]
    assert dangling(models, attribute) == []
    models.Document.history.all().delete()
    assert there() == ["two"]


def test_transactions_by_hand_lock_the_row(memory: None, models: Any, attribute: str) -> None:
    row = without_history(models, attribute, "one")
    transaction.set_autocommit(False)
    with CaptureQueriesContext(connection) as queries:
        models.Document.history.bulk_history_create([row], update=True)
    transaction.commit()
    transaction.set_autocommit(True)
    locks = connection.features.has_select_for_update
    wanted = "FOR UPDATE" if locks else "UPDATE"
    assert [query for query in queries.captured_queries if wanted in query["sql"]]
    assert names(models.Document.history.all(), attribute) == [stored()]


# rows made of history rows


def test_former_rows_can_be_read(memory: None, models: Any, attribute: str) -> None:
    row = without_history(models, attribute, "one")
    row.save()
    moment = timezone.now()
    assign(row, attribute, "two")
    row.save()
    former = [
        row.history.as_of(moment),
        models.Document.history.as_of(moment).get(),
        row.history.earliest().instance,
        row.history.earliest().history_object,
    ]
    for each in former:
        assert [file.get_content() for file in row_faults.files_in(each, attribute)] == [b"one"]
    last = row_faults.files_in(row.history.most_recent(), attribute)
    assert [file.get_content() for file in last] == [b"two"]
    assert there() == ["one", "two"]


def test_a_former_row_that_is_saved_has_a_copy(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    row = without_history(models, attribute, "one")
    row.save()
    assign(row, attribute, "two")
    row.save()
    save(row.history.earliest().instance)
    assert contents(models.Document.objects.all(), attribute) == [["one"]]
    assert contents(row.history.all(), attribute) == [["one"], ["two"], ["one"]]
    assert there() == ["one", "one", "two"]
    row.history.all().delete()
    assert (there(), dangling(models, attribute)) == (["one"], [])


def test_a_former_title_is_saved_without_a_copy(
    memory: None, models: Any, attribute: str, save: Save
) -> None:
    row = without_history(models, attribute, "one")
    row.save()
    row.title = "edited"
    row.save()
    for former in (row.history.earliest().instance, row.history.most_recent()):
        save(former)
    assert there() == ["one"]
    assert names(row.history.all(), attribute) == [stored()] * 4


def test_a_deleted_row_is_brought_back(memory: None, models: Any, attribute: str) -> None:
    row = without_history(models, attribute, "one")
    row.save()
    row.delete()
    models.Document.history.earliest().instance.save()
    assert contents(models.Document.objects.all(), attribute) == [["one"]]
    models.Document.history.all().delete()
    assert (there(), dangling(models, attribute)) == (["one"], [])


def test_a_history_row_with_the_file_of_another_row_has_a_copy(
    memory: None, models: Any, attribute: str
) -> None:
    row = without_history(models, attribute, "one")
    other = without_history(models, attribute, "two")
    value = getattr(other, attribute)
    models.Document.history.model.objects.create(
        id=row.pk, history_date=timezone.now(), history_type="~", **{attribute: value}
    )
    assert there() == ["one", "two", "two"]
    other.delete()
    models.Document.history.filter(history_type="-").delete()
    assert (there(), dangling(models, attribute)) == (["one", "two"], [])
