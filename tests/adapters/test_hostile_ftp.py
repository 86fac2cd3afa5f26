"""FTP servers that answer wrongly, late, or with another's names."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_fsspec.exceptions import StorageError
from django_fsspec.storage import FSSpecStorage
from tests.servers.certificates import self_signed, server_context
from tests.servers.hostile_ftp import (
    FEATURES,
    TLS_HANDSHAKE,
    HostileFTP,
    Session,
    answering,
    first,
    hang,
    sending,
)

pytestmark = pytest.mark.once
plain = pytest.mark.parametrize("ftp", ["plain"], indirect=True)

DATA = bytes(range(256)) * 16
FOLDER = "/media"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate"))


# implicit TLS differs in how a connection begins, and that the tests of TLS below look at
@pytest.fixture(
    params=["plain", "explicit TLS", pytest.param("implicit TLS", marks=pytest.mark.soak)]
)
def ftp(request: pytest.FixtureRequest, pem: Path) -> Iterator[HostileFTP]:
    """A server that holds a folder with DATA as a.bin."""
    tls = request.param != "plain"
    context = server_context(pem) if tls else None
    with HostileFTP(context=context, implicit=request.param == "implicit TLS") as server:
        server.folders.add(FOLDER)
        server.files[f"{FOLDER}/a.bin"] = DATA
        yield server


@pytest.fixture
def storage(ftp: HostileFTP, pem: Path) -> FSSpecStorage:
    return storage_on(ftp, pem)


def storage_on(ftp: HostileFTP, pem: Path, **options: Any) -> FSSpecStorage:
    fs_options = dict(ftp.fs_options)
    if fs_options["tls"]:
        fs_options["ssl_context"] = ssl.create_default_context(cafile=pem)
    limits = {"timeout": 2, "retries": 1}
    return FSSpecStorage(fs="ftp", prefix=FOLDER, fs_options=fs_options, **{**limits, **options})


def names_of(ftp: HostileFTP) -> list[str]:
    """Return what the server holds in the folder, part files and locks included."""
    held = {*ftp.files, *ftp.folders} - {"/", FOLDER}
    return sorted(name.removeprefix(f"{FOLDER}/") for name in held)


# answers that the protocol does not have

LONG = b"type=file;size=1; " + b"x" * 9000 + b"\r\n"
BROKEN: dict[str, tuple[str, Any]] = {
    "a line of a listing that is too long": ("MLSD", sending(LONG)),
    "a listing that is not UTF-8": ("MLSD", sending(b"type=file;size=1; \xe4.txt\r\n")),
    "an answer that is too long": ("MLSD", answering("150 " + "x" * 9000)),
    "an answer without a code": ("MLSD", answering("What?")),
    "an answer that asks for more": ("MLSD", answering("350 More?")),
    "nonsense for a passive port": ("PASV", answering("227 somewhere")),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_connection_is_not_used_after_a_broken_answer(
    ftp: HostileFTP, storage: FSSpecStorage, fault: str
) -> None:
    command, act = BROKEN[fault]
    ftp.script[command] = first(act)
    with pytest.raises(StorageError):
        storage.listdir("")
    used = len(ftp.sessions)
    assert storage.listdir("") == ([], ["a.bin"])
    assert storage.get_content("a.bin") == DATA
    assert len(ftp.sessions) == used + 1


def test_the_error_tells_what_to_do(ftp: HostileFTP, storage: FSSpecStorage) -> None:
    ftp.script["MLSD"] = sending(b"type=file;size=1; \xe4.txt\r\n")
    with pytest.raises(StorageError, match="not utf-8: name its encoding as 'encoding'"):
        storage.listdir("")
    ftp.script["MLSD"] = sending(LONG)
    with pytest.raises(StorageError, match="keep to the FTP protocol: a line of the listing"):
        asyncio.run(storage.alistdir(""))


def test_mlst_in_one_line(ftp: HostileFTP, storage: FSSpecStorage) -> None:
    ftp.script["MLST"] = answering("250 type=file;size=4096; /media/a.bin")
    assert storage.size("a.bin") == 4096
    for answer in ("250 Fine.", "250"):
        ftp.script["MLST"] = first(answering(answer))
        with pytest.raises(StorageError, match="MLST was answered without facts"):
            storage.size("a.bin")
        assert storage.get_content("a.bin") == DATA


@pytest.mark.parametrize(
    "facts",
    ["size=many;modify=20261399000000;", "size=-1;modify=soon;", f"size={'9' * 5000};modify=;"],
)
def test_facts_that_are_none(ftp: HostileFTP, storage: FSSpecStorage, facts: str) -> None:
    ftp.script["MLSD"] = sending(f"type=file;{facts} a.bin\r\n".encode())
    (stat,) = storage.walk()
    assert (stat.name, stat.size, stat.last_modified) == ("a.bin", None, None)


def test_a_size_that_mlst_does_not_tell(ftp: HostileFTP, storage: FSSpecStorage) -> None:
    ftp.script["MLST"] = answering("250-Listing", " type=file; /media/a.bin", "250 End")
    assert storage.size("a.bin") == len(DATA)
    ftp.script["RETR"] = sending(DATA[:1000])
    with pytest.raises(StorageError, match="ended after 2000 of 4096 bytes"):
        storage.get_content("a.bin")


# downloads

WAYS: dict[str, Callable[[FSSpecStorage], bytes]] = {
    "get_content": lambda storage: storage.get_content("a.bin"),
    "aget_content": lambda storage: asyncio.run(storage.aget_content("a.bin")),
    "stream": lambda storage: b"".join(storage.stream("a.bin")),
    "open": lambda storage: storage.open("a.bin").read(),
    "the end": lambda storage: DATA[:500] + storage.get_content("a.bin", 500),
    "a range": lambda storage: storage.get_content("a.bin", 0, 4000) + DATA[4000:],
}


@pytest.mark.parametrize("features", [FEATURES, FEATURES[:-1]], ids=["MLST", "SIZE"])
@pytest.mark.parametrize("way", WAYS)
def test_a_download_that_ends_early(
    ftp: HostileFTP, storage: FSSpecStorage, way: str, features: tuple[str, ...]
) -> None:
    ftp.features = features
    ftp.script["RETR"] = first(lambda session, name: session.send(DATA[session.rest :][:1000]))
    assert WAYS[way](storage) == DATA
    ftp.script["RETR"] = lambda session, name: session.send(DATA[session.rest :][:1000])
    with pytest.raises(StorageError, match=r"ended after 2[05]00 of 4\d+ bytes"):
        WAYS[way](storage)


@pytest.mark.parametrize("answer", ["426 Connection closed.", "425 No data connection."])
@pytest.mark.parametrize("way", WAYS)
def test_a_download_goes_on_where_it_was_aborted(
    ftp: HostileFTP, storage: FSSpecStorage, way: str, answer: str
) -> None:
    ftp.script["RETR"] = first(
        lambda session, name: session.send(DATA[session.rest :][:1000], answer)
    )
    assert WAYS[way](storage) == DATA
    assert ftp.commands.count("RETR /media/a.bin") == 2
    start = 1500 if way == "the end" else 1000
    assert ftp.commands[-2:] == [f"REST {start}", "RETR /media/a.bin"]


def test_a_download_that_is_aborted_again_and_again(
    ftp: HostileFTP, storage: FSSpecStorage
) -> None:
    ftp.script["RETR"] = sending(DATA[:1000], "426 Connection closed.")
    with pytest.raises(StorageError, match="426"):
        storage.get_content("a.bin")
    assert ftp.commands.count("RETR /media/a.bin") == 2


def test_a_connection_is_not_used_after_a_range_that_ends_with_nonsense(
    ftp: HostileFTP, storage: FSSpecStorage
) -> None:
    ftp.script["RETR"] = first(sending(DATA, "Bye."))
    assert storage.get_content("a.bin", 0, 100) == DATA[:100]
    assert storage.get_content("a.bin", 0, 200) == DATA[:200]
    assert len(ftp.sessions) == 2


@pytest.mark.parametrize("end", [hang, lambda session, name: session.hang_up()])
@pytest.mark.parametrize("way", ["get_content", "aget_content", "stream"])
def test_a_range_is_read_whose_end_is_not_answered(
    ftp: HostileFTP, pem: Path, way: str, end: Any
) -> None:
    """Some servers take it badly that a download is closed before its end."""

    def cut(session: Session, name: str) -> None:
        session.say("150 Here it comes.")
        with session.data() as conn:
            conn.sendall(DATA[session.rest :])
        end(session, name)

    storage = storage_on(ftp, pem, timeout=0.2)
    ftp.script["RETR"] = cut
    read: dict[str, Callable[[], bytes]] = {
        "get_content": lambda: storage.get_content("a.bin", 10, 20),
        "aget_content": lambda: asyncio.run(storage.aget_content("a.bin", 10, 20)),
        "stream": lambda: b"".join(storage.stream("a.bin", 10, 20)),
    }
    assert read[way]() == DATA[10:20]
    assert ftp.commands.count("RETR /media/a.bin") == 1
    assert storage.exists("a.bin")
    assert len(ftp.sessions) == 2


# saving


def test_a_root_that_may_not_be_entered(ftp: HostileFTP, storage: FSSpecStorage) -> None:
    ftp.script["CWD"] = answering("550 Not here.")
    assert storage.save("new/deeper/b.txt", ContentFile(b"b")) == "new/deeper/b.txt"
    assert ftp.files[f"{FOLDER}/new/deeper/b.txt"] == b"b"
    ftp.folders.clear()
    ftp.script["MKD"] = answering("550 Not here.")
    with pytest.raises(StorageError):
        storage.save("c.txt", ContentFile(b"c"))


@pytest.mark.slow
@plain
@pytest.mark.parametrize("features", [FEATURES, FEATURES[:-1]], ids=["MLST", "SIZE"])
def test_a_rename_without_an_answer(
    ftp: HostileFTP, storage: FSSpecStorage, features: tuple[str, ...]
) -> None:
    ftp.features = features
    ftp.script["RNTO"] = hang
    with pytest.raises(TimeoutError, match="did not answer in 2 s"):
        storage.save("b.txt", ContentFile(b"b"))
    assert names_of(ftp) == ["a.bin"]
    with pytest.raises(TimeoutError, match="did not answer in 2 s"):
        asyncio.run(storage.asave("b.txt", ContentFile(b"b")))
    assert names_of(ftp) == ["a.bin"]
    del ftp.script["RNTO"]
    assert storage.save("b.txt", ContentFile(b"b")) == "b.txt"
    assert names_of(ftp) == ["a.bin", "b.txt"]


@pytest.mark.slow
@plain
def test_an_overwrite_without_an_answer(ftp: HostileFTP, pem: Path) -> None:
    """The server's rename replaces nothing; it hangs when the old file has been moved away."""
    storage = storage_on(ftp, pem, allow_overwrite=True)
    renames: list[str] = []

    def rename(session: Session, name: str) -> None:
        renames.append(name)
        if name == f"{FOLDER}/a.bin" and name in ftp.files:
            session.say("550 It is there.")
        elif name == f"{FOLDER}/a.bin" and len(renames) < 4:
            hang(session, name)
        else:
            session.regularly(name)

    ftp.script["RNTO"] = rename
    with pytest.raises(TimeoutError, match="did not answer in 2 s"):
        storage.save("a.bin", ContentFile(b"new"))
    assert ftp.files == {f"{FOLDER}/a.bin": DATA}


@pytest.mark.slow
@plain
@pytest.mark.parametrize("later", [False, True], ids=["while cleaning up", "later"])
def test_a_file_that_is_put_aside_late(
    ftp: HostileFTP, pem: Path, later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The server's rename replaces nothing; it makes a move late, when nobody waits for it."""
    storage = storage_on(ftp, pem, allow_overwrite=True)
    waiting: list[Session] = []
    moves: list[Callable[[], None]] = []

    def rename(session: Session, name: str) -> None:
        if name == f"{FOLDER}/a.bin" and name in ftp.files:
            session.say("550 It is there.")
        elif name != f"{FOLDER}/a.bin" and not waiting:
            waiting.append(session)
            moves.append(lambda: session.rename(name))
            hang(session, name)
        else:
            session.regularly(name)

    def look(session: Session, name: str) -> None:
        session.regularly(name)
        if moves and not later:
            moves.pop()()

    ftp.script["RNTO"] = rename
    ftp.script["MLST"] = look
    with pytest.raises(TimeoutError, match="did not answer in 2 s"):
        storage.save("a.bin", ContentFile(b"new"))
    assert ftp.files == {f"{FOLDER}/a.bin": DATA}
    if later:
        moves.pop()()
        (aside,) = ftp.files
        assert repr(aside) in caplog.text
        assert f"{FOLDER}/a.bin" in caplog.text


@pytest.mark.parametrize("command", ["RMD", "RNTO"])
def test_a_connection_that_is_lost_after_the_rename(
    ftp: HostileFTP, storage: FSSpecStorage, command: str
) -> None:
    def lost(session: Session, name: str) -> None:
        if command == "RNTO":
            session.rename(name)
        session.hang_up()

    ftp.script[command] = first(lost)
    if command == "RMD":
        assert storage.save("b.txt", ContentFile(b"b")) == "b.txt"
    else:
        with pytest.raises(StorageError):
            storage.save("b.txt", ContentFile(b"b"))
    assert names_of(ftp) == ["a.bin", "b.txt"]


# listings with names that lie elsewhere

EVIL = (
    "../evil",
    "..",
    ".",
    "/",
    "/etc/passwd",
    "sub/evil",
    "x\0y",
    "",
    "media",
    "new\rline",
)


@pytest.mark.parametrize("kind", ["dir", "file"])
def test_a_listing_leads_nowhere_else(ftp: HostileFTP, storage: FSSpecStorage, kind: str) -> None:
    def listing(session: Session, name: str) -> None:
        lines = [f"type={kind};size=1; {name}\r\n" for name in EVIL]
        lines.append("type=file;size=4096; a.bin\r\n")
        session.send("".join(lines if name == FOLDER else ()).encode())

    ftp.script["MLSD"] = listing
    expected = ["a.bin", "media"] if kind == "file" else ["a.bin"]
    assert [stat.name for stat in storage.walk()] == expected
    assert asyncio.run(_walked(storage)) == expected
    folders, files = storage.listdir("")
    assert (sorted(folders), sorted(files)) == (["media"] if kind == "dir" else [], expected)
    asked = {command for command in ftp.commands if command.startswith("MLSD")}
    assert asked <= {"MLSD /media", "MLSD /media/media"}


async def _walked(storage: FSSpecStorage) -> list[str]:
    return [stat.name async for stat in storage.awalk()]


@pytest.mark.slow
@plain
def test_folders_in_folders_without_end(ftp: HostileFTP, storage: FSSpecStorage) -> None:
    ftp.script["MLSD"] = sending(b"type=dir; a\r\ntype=file;size=1; b\r\n")
    ftp.script["CWD"] = answering("250 Done.")
    ftp.script["LIST"] = sending(b"")
    stats = list(storage.walk())
    assert len(stats) == 256
    assert max(stat.name.count("/") for stat in stats) == 255


# TLS


@pytest.mark.parametrize("tls", [True, "tls", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2"], ids=str)
def test_files_are_encrypted_on_the_wire(pem: Path, tls: bool | str) -> None:
    with HostileFTP(context=server_context(pem), implicit=tls is not True) as ftp:
        ftp.folders.add(FOLDER)
        context = ssl.create_default_context(cafile=pem)
        fs_options = {**ftp.fs_options, "tls": tls, "ssl_context": context}
        storage = FSSpecStorage(fs="ftp", prefix=FOLDER, fs_options=fs_options, timeout=5)
        storage.save("b.txt", ContentFile(b"b"))
        assert storage.get_content("b.txt") == b"b"
        assert [stat.name for stat in storage.walk()] == ["b.txt"]
        assert {"STOR", "RETR", "MLSD", "LIST"} <= {t.command for t in ftp.transfers}
        for transfer in ftp.transfers:
            assert transfer.first_bytes.startswith(TLS_HANDSHAKE), transfer


@pytest.mark.parametrize("tls", [True, "tls"], ids=str)
@pytest.mark.parametrize("given", ["class", "instance"])
def test_files_of_a_filesystem_of_ones_own_are_encrypted(
    pem: Path, tls: bool | str, given: str
) -> None:
    from fsspec.implementations.ftp import FTPFileSystem

    class Own(FTPFileSystem):  # type: ignore[misc]
        """Connects as fsspec does, which trusts any server."""

    with HostileFTP(context=server_context(pem), implicit=tls == "tls") as ftp:
        ftp.folders.add(FOLDER)
        options = {**ftp.fs_options, "tls": tls}
        fs = FTPFileSystem(**options) if given == "instance" else Own
        fs_options = {} if given == "instance" else options
        storage = FSSpecStorage(fs=fs, prefix=FOLDER, fs_options=fs_options, timeout=5)
        storage.save("b.txt", ContentFile(b"b"))
        assert storage.get_content("b.txt") == b"b"
        for transfer in ftp.transfers:
            assert transfer.first_bytes.startswith(TLS_HANDSHAKE), transfer


def test_the_private_mode_may_not_be_refused(pem: Path) -> None:
    with HostileFTP(context=server_context(pem)) as ftp:
        ftp.script["PROT"] = answering("536 Not here.")
        storage = storage_on(ftp, pem)
        with pytest.raises(StorageError, match="536"):
            storage.listdir("")
        assert ftp.transfers == []
