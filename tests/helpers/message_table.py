"""The table in docs/reference/messages.md: every message of the package, found in its source.

``make messages`` rewrites the table. What a message inserts is shown as ``…``.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "django_fsspec"
PAGE = ROOT / "docs" / "reference" / "messages.md"
BEGIN, END = "<!-- messages: begin (make messages) -->", "<!-- messages: end -->"

#: section of the page -> the modules and packages whose messages it has; () for all others
SECTIONS: dict[str, tuple[str, ...]] = {
    "Settings and storages": (),
    "Filesystems": ("adapters",),
    "Files, rows and fields": ("fields", "objects", "operations", "rows", "signals"),
    "Forms, validators, REST": ("forms", "rest_framework", "validators", "widgets"),
    "Direct uploads": ("middleware", "uploads"),
    "Downloads": ("responses", "views"),
    "Admin": ("admin",),
    "Commands and checks": ("audit", "checks", "management", "transfer"),
}

#: exception of ours that nobody sees -> what shows its text
SHOWN_AS = {
    "AnswerLost": "`FileExistsError`",
    "BadArguments": "a command (exit status 2)",
    "BadPlan": "`migrate_files` (exit status 2)",
    "BadSetting": "`ImproperlyConfigured`",
    "ChangedMeanwhile": "`StorageError`",
    "ContentFailed": "`OSError`",
    "CutShort": "`StorageError`",
    "Error": "`StorageError`",
    "HTTPStatusError": "`StorageError`",
    "InvalidUrlRedirectClientError": "`StorageError`",
    "Mismatch": "`migrate_files` (a failed file)",
    "NoImage": "form",
    "NoStaticRoot": "`ImproperlyConfigured`",
    "NotOurs": "log",
    "OptionError": "`ImproperlyConfigured`",
    "RateLimited": "`StorageError`",
    "Renamed": "`migrate_files` (a failed file)",
    "Taken": "`migrate_files` (a failed file)",
    "Unreadable": "`ValueError`",
    "AccessRefused": "`PermissionError`",
    "UntrustedHost": "`PermissionError`",
    "Unwritable": "log",
    "WrongResult": "`check_storages`",
    "error_proto": "`StorageError`",
}
_GETTEXT = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext"}
_LEVELS = {"warning", "error", "exception"}
_CHECKS = {"Error", "Warning"}
#: functions that return the reason in a message, or what to do
_REASON = re.compile(r"fault|refusal|advice|hint|missing_package|distrust|note|nearest|listed")
#: tables of messages and reasons -> what shows them
_TABLES = {"TEXTS": "form", "_ARCHIVED": "`StorageError`", "_EXPLAINED": "`StorageError`"}
_TABLES |= dict.fromkeys(("REMARKS", "CHANGED", "GONE"), "`migrate_files`")


class Message(NamedTuple):
    """A text of the package, and what shows it."""

    module: str
    shown: str
    text: str


def name_of(node: ast.AST | None) -> str:
    """Return the last part of a dotted name, "" of anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax tree of each module."""
    paths = sorted(path for path in PACKAGE.rglob("*.py") if "moved" not in path.parts)
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text())
        for path in paths
    }


@cache
def exceptions() -> set[str]:
    """Return the names of exceptions: built in, of the package, and whatever is raised."""
    known = {
        name
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    known |= {
        name_of(node.exc.func)
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    }
    classes = [
        (node.name, {name_of(base) for base in node.bases})
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    for _ in range(4):  # levels of inheritance
        known |= {name for name, bases in classes if bases & known}
    return known


def is_exception(name: str) -> bool:
    """Return whether a class of this name is an exception."""
    return name in exceptions() or name.endswith(("Error", "Exception"))


@cache
def makers(module: str = "") -> dict[str, str]:
    """Return the functions of a module, or all, that make an exception of a text they are given.

    A function that answers a request with a text and a status counts as one of `UploadRefused`.
    """
    trees_read = [trees()[module]] if module else trees().values()
    found = {"_require": "WrongResult"}
    for tree in trees_read:
        for function in functions(tree):
            name, returned = function.name, name_of(function.returns)
            if is_exception(returned):
                found[name] = returned
            elif name == "_refused" and returned == "HttpResponse":
                found[name] = "UploadRefused"
    return {name: made for name, made in found.items() if module or name[0] != "_"}


def texts(node: ast.AST | None, local: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the texts that an expression may be, with ``…`` for what is inserted."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.sub(r"%(\(\w+\))?[srd]", "…", node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(next(texts(part, local), "…") for part in node.values)
    elif isinstance(node, ast.BinOp):
        left = next(texts(node.left, local), "…")
        right = "" if isinstance(node.op, ast.Mod) else next(texts(node.right, local), "…")
        yield left + right
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body, local)
        yield from texts(node.orelse, local)
    elif isinstance(node, ast.BoolOp):  # a default
        yield from texts(node.values[-1], local)
    elif isinstance(node, ast.Call) and name_of(node.func) in _GETTEXT:
        for argument in node.args[:2]:
            yield from texts(argument, local)
    elif isinstance(node, ast.Name) and node.id in local:
        yield from texts(local[node.id], {})


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions of a module, outer ones first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def arguments(call: ast.Call, exception: str) -> list[ast.expr]:
    """Return the arguments of an exception that are, or may be, its text."""
    if exception == "OptionError":  # after the option's name
        return call.args[1:]
    if exception == "ValidationError":  # the others are of codes and parameters
        return call.args[:1]
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def shown_as(call: ast.Call, exception: str) -> str:
    """Return what shows the text of an exception."""
    status = call.args[0] if call.args else None
    if exception == "UploadRefused" and isinstance(status, ast.Constant):
        return f"status {status.value!s}"
    if exception == "UploadRefused":
        return "status 400 to 415"
    return SHOWN_AS.get(exception, f"`{exception}`")


def setting(call: ast.Call) -> str:
    """Return the end of the path of an option, which its message begins with."""
    option = next(texts(call.args[0], {}), "") if call.args else ""
    return f"['{option}'] " if name_of(call.func) == "OptionError" and option else ""


def messages_of(
    module: str, call: ast.Call, local: dict[str, ast.expr]
) -> Iterator[tuple[str, str]]:
    """Yield what shows a message, and its text, for each that a call has."""
    made_here = {**makers(), **makers(module)}
    name = name_of(call.func)
    owner = name_of(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    numbers = [keyword.value for keyword in call.keywords if keyword.arg == "id"]
    if name in _CHECKS and numbers:
        for text in texts(call.args[0], local):
            yield f"`{next(texts(numbers[0], local), '')}`", text
    elif owner == "logger" and name in _LEVELS:
        for text in texts(call.args[0], local):
            yield "log", text
    elif owner == "stderr" or (owner == "style" and name in ("ERROR", "WARNING")):
        for text in texts(call.args[0], local):
            yield "a command", text
    elif is_exception(name) or name in made_here:
        exception = made_here.get(name, name)
        for argument in arguments(call, exception):
            for text in texts(argument, local):
                yield shown_as(call, exception), setting(call) + text
    elif name in _GETTEXT:
        for text in texts(call, local):
            if re.search(r"\.( |$)", text):  # a sentence, no label
                yield "form", text


def assigned(scope: ast.AST) -> dict[str, ast.expr]:
    """Return what variables of a function or a module are set to."""
    return {
        target.id: node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def reasons(tree: ast.Module) -> Iterator[str]:
    """Yield the parts of messages that functions return."""
    for function in functions(tree):
        if _REASON.search(function.name) and "str" in ast.unparse(function.returns or function):
            for node in ast.walk(function):
                if isinstance(node, ast.Return | ast.Yield):
                    yield from texts(node.value, {})


@cache
def all_messages() -> tuple[Message, ...]:
    """Return each message of the package."""
    return tuple(message for module in trees() for message in messages_in(module))


def tables(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield what shows them, and the texts of a module's tables of messages."""
    for statement in tree.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        target = statement.target if isinstance(statement, ast.AnnAssign) else target
        if name_of(target) in _TABLES:
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant | ast.JoinedStr):
                    for text in texts(node, {}):
                        yield _TABLES[name_of(target)], re.sub(r"{\w+}", "…", text)


def messages_in(module: str) -> Iterator[Message]:
    """Yield each message of a module."""
    tree = trees()[module]
    outside = assigned(tree)
    scopes = {id(node): outside for node in ast.walk(tree)}
    for function in functions(tree):
        local = {**outside, **assigned(function)}
        scopes.update((id(node), local) for node in ast.walk(function))
    found = [
        message
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for message in messages_of(module, node, scopes[id(node)])
    ]
    found += [("a part of others", text) for text in reasons(tree)]
    found += tables(tree)
    for shown, text in found:
        if re.search(r"[a-z]{2,}.* .*[a-z]{2,}", text):  # words, not a code
            yield Message(module, shown, " ".join(text.split()))


def section_of(module: str) -> str:
    """Return the section of the page that a module belongs to."""
    top = module.partition("/")[0]
    return next(
        (section for section, tops in SECTIONS.items() if top in tops), "Settings and storages"
    )


def as_code(text: str) -> str:
    """Return text as code in a cell of a Markdown table."""
    fence = "``" if "`" in text else "`"
    inner = text.replace("|", "\\|")
    return f"{fence} {inner} {fence}" if "`" in text else f"{fence}{inner}{fence}"


def table() -> str:
    """Return the tables, one for each section."""
    lines = []
    for section in SECTIONS:
        rows: dict[str, set[str]] = {}
        for message in all_messages():
            if section_of(message.module) == section:
                rows.setdefault(message.text, set()).add(message.shown)
        lines += [f"## {section}", "", "| message | shown as |", "|---|---|"]
        for text in sorted(rows, key=lambda text: (text.strip("…'\"-:[] ").lower(), text)):
            lines.append(f"| {as_code(text)} | {', '.join(sorted(rows[text]))} |")
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """Return the page with the table of today's source."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page())
