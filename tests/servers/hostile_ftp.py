"""An FTP server that keeps files in memory and does what a test scripts, command by command."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .ports import HOST

if TYPE_CHECKING:
    from typing import Self

FEATURES: tuple[str, ...] = ("UTF8", "SIZE", "MDTM", "REST STREAM", "MLST type*;size*;modify*;")
_MODIFIED = "20260101000000"
#: what a TLS connection begins with: a handshake record (RFC 8446, section 5.1)
TLS_HANDSHAKE = b"\x16\x03"


class Transfer(NamedTuple):
    """A data connection: what it was for, and the first bytes that the client sent on the wire."""

    command: str
    first_bytes: bytes


class HostileFTP:
    """The server; `script` holds what it does at a command in place of what it should.

    Example::

        with HostileFTP() as server:
            server.files["/a.bin"] = b"x" * 4000
            server.script["RETR"] = lambda session, name: session.send(b"x" * 1000)
    """

    def __init__(self, *, context: ssl.SSLContext | None = None, implicit: bool = False) -> None:
        self.context, self.implicit = context, implicit
        self.features = FEATURES
        self.files: dict[str, bytes] = {}
        self.folders = {"/"}
        self.script: dict[str, Act] = {}
        self.sessions: list[Session] = []
        self.transfers: list[Transfer] = []
        #: ends what hang() does
        self.released = threading.Event()
        self.port = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for session in self.sessions:
            session.stop()

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("ftp", ...)`."""
        tls: bool | str = self.context is not None
        if self.implicit:
            tls = "tls"
        return {"host": HOST, "port": self.port, "username": "u", "password": "p", "tls": tls}

    @property
    def commands(self) -> list[str]:
        """The lines of all sessions, but for those of logging in."""
        return [line for session in self.sessions for line in session.commands]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                # two answers in a row: the second would wait 40 ms for the first's ACK
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = Session(self, client)
                self.sessions.append(session)
                session.start()


class Session:
    """One control connection, served by a thread of its own."""

    def __init__(self, server: HostileFTP, client: socket.socket) -> None:
        self.server, self._client = server, client
        self.commands: list[str] = []
        self.private = False
        self._rest, self._source, self._folder = 0, "", "/"
        self._verb = ""
        self._passive: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            if self.server.implicit:
                self._encrypt()
            self.say("220 Hello.")
            lines = self._client.makefile("rb")
            while line := lines.readline():
                verb, _, argument = line.decode("utf-8", "surrogateescape").strip().partition(" ")
                self._verb = verb.upper()
                if self._verb == "AUTH":
                    self.say("234 TLS now.")
                    self._encrypt()
                    lines = self._client.makefile("rb")
                    continue
                if self._verb not in _LOGIN:
                    self.commands.append(f"{self._verb} {argument}".strip())
                self._obey(argument)
        if self._passive is not None:
            self._passive.close()
        self._client.close()

    def _encrypt(self) -> None:
        assert self.server.context is not None
        self._client = self.server.context.wrap_socket(self._client, server_side=True)

    def _obey(self, argument: str) -> None:
        act = self.server.script.get(self._verb) or ACTS.get(self._verb)
        if act is None:
            self.say("502 Not known.")
        else:
            act(self, argument)

    # what acts are made of

    def say(self, *lines: str) -> None:
        """Send lines over the control connection."""
        self.say_bytes("".join(f"{line}\r\n" for line in lines).encode())

    def say_bytes(self, data: bytes) -> None:
        """Send bytes over the control connection."""
        self._client.sendall(data)

    def hang_up(self) -> None:
        """Close the control connection."""
        self._client.shutdown(socket.SHUT_RDWR)

    def regularly(self, argument: str) -> None:
        """Do what the command is for."""
        ACTS[self._verb](self, argument)

    @contextlib.contextmanager
    def data(self) -> Iterator[socket.socket]:
        """Accept the client's data connection."""
        assert self._passive is not None
        listener, self._passive = self._passive, None
        with listener:
            raw, _ = listener.accept()
        with raw:
            # of a download that is not encrypted, the client sends nothing
            says_first = self.private or self._verb == "STOR"
            first = raw.recv(16, socket.MSG_PEEK) if says_first else b""
            self.server.transfers.append(Transfer(self._verb, first))
            if not self.private:
                yield raw
                return
            assert self.server.context is not None
            with self.server.context.wrap_socket(raw, server_side=True) as conn:
                yield conn
                conn.settimeout(2)
                with contextlib.suppress(OSError):
                    conn.unwrap().close()

    def send(self, data: bytes, answer: str = "226 Done.") -> None:
        """Send bytes over a data connection, then an answer."""
        self.say("150 Here it comes.")
        with self.data() as conn:
            conn.sendall(data)
        self.say(answer)

    @property
    def rest(self) -> int:
        """Where a download is to begin; 0 afterwards."""
        rest, self._rest = self._rest, 0
        return rest

    # what commands are for

    def feat(self, argument: str) -> None:
        self.say("211-Features:", *(f" {feature}" for feature in self.server.features), "211 End")

    def pasv(self, argument: str) -> None:
        if self._passive is not None:
            self._passive.close()
        self._passive = socket.create_server((HOST, 0))
        port = self._passive.getsockname()[1]
        numbers = ",".join([*HOST.split("."), str(port // 256), str(port % 256)])
        self.say(f"227 Entering passive mode ({numbers}).")

    def prot(self, argument: str) -> None:
        self.private = argument == "P"
        self.say("200 Done.")

    def rest_at(self, argument: str) -> None:
        self._rest = int(argument)
        self.say("350 From there.")

    def cwd(self, name: str) -> None:
        if name not in self.server.folders:
            self.say("550 No such folder.")
            return
        self._folder = name
        self.say("250 Done.")

    def mkd(self, name: str) -> None:
        if name in self.server.folders or name in self.server.files:
            self.say("550 It is there.")
            return
        if name.rpartition("/")[0] not in ("", *self.server.folders):
            self.say("550 No such folder.")
            return
        self.server.folders.add(name)
        self.say(f'257 "{name}" created.')

    def rmd(self, name: str) -> None:
        self._change(name in self.server.folders, lambda: self.server.folders.discard(name))

    def dele(self, name: str) -> None:
        self._change(name in self.server.files, lambda: self.server.files.pop(name))

    def rnfr(self, name: str) -> None:
        self._source = name
        known = name in self.server.files
        self.say("350 To which?" if known else "550 No such file.")

    def rnto(self, name: str) -> None:
        self._change(self._source in self.server.files, lambda: self.rename(name))

    def rename(self, name: str) -> None:
        """Rename the file of the last RNFR, and answer nothing."""
        self.server.files[name] = self.server.files.pop(self._source)

    def _change(self, able: bool, change: Callable[[], object]) -> None:
        if able:
            change()
        self.say("250 Done." if able else "550 No such file.")

    def size(self, name: str) -> None:
        data = self.server.files.get(name)
        self.say("550 No such file." if data is None else f"213 {len(data)}")

    def mlst(self, name: str) -> None:
        facts = self._facts(name)
        if facts is None:
            self.say("550 No such file.")
        else:
            self.say("250-Listing", f" {facts} {name}", "250 End")

    def mlsd(self, name: str) -> None:
        lines = [f"{self._facts(path)} {label}" for label, path in self._children(name)]
        self.send("".join(f"{line}\r\n" for line in lines).encode())

    def list_lines(self, name: str) -> None:
        lines = []
        for label, path in self._children(name or self._folder):
            kind = "d" if path in self.server.folders else "-"
            size = len(self.server.files.get(path, b""))
            lines.append(f"{kind}rw-r--r-- 1 u u {size} Jan 01 00:00 {label}\r\n")
        self.send("".join(lines).encode())

    def _facts(self, path: str) -> str | None:
        if path in self.server.folders:
            return f"type=dir;modify={_MODIFIED};"
        data = self.server.files.get(path)
        return None if data is None else f"type=file;size={len(data)};modify={_MODIFIED};"

    def _children(self, folder: str) -> Iterator[tuple[str, str]]:
        for path in sorted({*self.server.folders, *self.server.files} - {"/"}):
            parent, _, label = path.rpartition("/")
            if (parent or "/") == folder:
                yield label, path

    def retr(self, name: str) -> None:
        data = self.server.files.get(name)
        if data is None:
            self.say("550 No such file.")
        else:
            self.send(data[self.rest :])

    def stor(self, name: str) -> None:
        if name.rpartition("/")[0] not in ("", *self.server.folders):
            self.say("550 No such folder.")
            return
        self.say("150 Go on.")
        with self.data() as conn:
            self.server.files[name] = b"".join(iter(lambda: conn.recv(1 << 16), b""))
        self.say("226 Done.")


Act: TypeAlias = Callable[[Session, str], None]
_LOGIN = ("USER", "PASS", "FEAT", "OPTS", "PBSZ", "PROT", "AUTH")


def answering(*lines: str) -> Act:
    """Return an act that answers with these lines and does nothing."""
    return lambda session, argument: session.say(*lines)


def sending(data: bytes, answer: str = "226 Done.") -> Act:
    """Return an act that sends these bytes over a data connection."""
    return lambda session, argument: session.send(data, answer)


def hang(session: Session, argument: str) -> None:
    """Do not answer before the test releases the server."""
    session.server.released.wait(30)


def first(act: Act) -> Act:
    """Return an act that does `act` once, and afterwards what the command is for."""
    left = [act]

    def once(session: Session, argument: str) -> None:
        if left:
            left.pop()(session, argument)
        else:
            session.regularly(argument)

    return once


ACTS: dict[str, Act] = {
    **dict.fromkeys(("OPTS", "TYPE", "NOOP", "PBSZ"), answering("200 Done.")),
    "USER": answering("331 Password?"),
    "PASS": answering("230 Welcome."),
    "MDTM": answering(f"213 {_MODIFIED}"),
    "FEAT": Session.feat,
    "PASV": Session.pasv,
    "PROT": Session.prot,
    "REST": Session.rest_at,
    "CWD": Session.cwd,
    "MKD": Session.mkd,
    "RMD": Session.rmd,
    "DELE": Session.dele,
    "RNFR": Session.rnfr,
    "RNTO": Session.rnto,
    "SIZE": Session.size,
    "MLST": Session.mlst,
    "MLSD": Session.mlsd,
    "LIST": Session.list_lines,
    "RETR": Session.retr,
    "STOR": Session.stor,
}
