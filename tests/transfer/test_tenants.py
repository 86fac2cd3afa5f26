"""migrate_files where a callable tells the prefix: the rows of one tenant at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError

from django_fsspec.testing import override_storage
from tests.helpers.backends import folder
from tests.helpers.moved_files import move
from tests.helpers.tenants import ONE, TWO, listed, options_of, serving
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[("memory", "memory"), ("s3", "s3"), ("memory", "s3")], ids=str)
def between(request: pytest.FixtureRequest) -> Iterator[None]:
    source, target = map(options_of, request.param)
    with override_storage(default=source, second=target):
        for tenant in (ONE, TWO):
            with serving(tenant):
                for number in range(3):
                    file = ContentFile(tenant, name=f"{number}.txt")
                    Paper.objects.create(title=tenant, file=file)
        yield


@pytest.mark.usefixtures("between")
def test_one_tenant_moves() -> None:
    with serving(ONE):
        said = move("library.Paper", filter=[f"title={ONE}"], delete_source=True)
        assert "moved                            3" in said
    assert (listed(ONE), len(listed(ONE, "second"))) == ([], 3)
    assert (len(listed(TWO)), listed(TWO, "second")) == (3, [])
    for paper in Paper.objects.all():
        with serving(paper.title):
            assert paper.file.get_content().decode() == paper.title
            assert paper.file.backend == ("second" if paper.title == ONE else "default")


@pytest.mark.usefixtures("between")
def test_rows_of_all_and_tasks_are_refused() -> None:
    with serving(ONE):
        with pytest.raises(CommandError, match=r"\['prefix'\] is a callable.*--filter"):
            move("library.Paper")
        with pytest.raises(CommandError, match="--enqueue"):
            move("library.Paper", filter=["title=acme"], enqueue=True)
    with pytest.raises(CommandError, match="prefix"):
        move("library.Paper", filter=["title=acme"])
    assert len(listed(ONE)) == len(listed(TWO)) == 3


@pytest.mark.usefixtures("between")
def test_into_a_folder_of_each_tenant() -> None:
    with override_storage(second={"fs": "memory", "prefix": folder()}):
        with serving(ONE):
            move("library.Paper", filter=[f"title={ONE}"])
        with pytest.raises(CommandError, match="--from default"):
            move("library.Paper")
