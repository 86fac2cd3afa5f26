"""Every message of the package is in docs/reference/messages.md, where users search for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.helpers import message_table

pytestmark = pytest.mark.once


def test_the_page_has_the_messages_of_the_source() -> None:
    assert message_table.PAGE.read_text() == message_table.page(), "run `make messages`"


def test_every_sentence_of_a_raise_is_found() -> None:
    """Counted in another way than the finder does."""
    found = " ".join(message.text for message in message_table.all_messages())
    sentences = [
        text
        for tree in message_table.trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        for text in sentences_of(node)
    ]
    assert len(sentences) > 200
    assert [text for text in sentences if text not in found] == []


def sentences_of(node: ast.AST) -> Iterator[str]:
    """Yield the texts of at least three words in a statement, without what f-strings insert."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if node.value.count(" ") > 1 and "%" not in node.value:
            yield " ".join(node.value.split())
    elif not isinstance(node, ast.FormattedValue):
        for child in ast.iter_child_nodes(node):
            yield from sentences_of(child)


def test_every_logged_text_is_found() -> None:
    page = message_table.PAGE.read_text()
    source = "".join(path.read_text() for path in message_table.PACKAGE.rglob("*.py"))
    logged = re.findall(r"logger\.(?:warning|error|exception)\(\s*\"([^\"%]+)", source)
    assert len(logged) > 20
    assert [text for text in logged if " ".join(text.split()) not in page] == []
