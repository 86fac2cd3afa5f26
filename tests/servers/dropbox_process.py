"""The process behind `DropboxServer`: `python -m … PORT`."""

from __future__ import annotations

import json
import sys
import threading
import urllib.parse
import uuid
from typing import Any

from .dropbox_account import Account, Json, Malformed, Refused, content_hash
from .loopback import Handler, LoopbackServer
from .ports import HOST

ACCOUNT = Account()
SESSIONS: dict[str, bytearray] = {}
CLOSED: set[str] = set()
LINKS: dict[str, bytes] = {}
LOCK = threading.Lock()


def get_metadata(arg: Json) -> Json:
    """Carry out the route of this name, as do all functions below."""
    return ACCOUNT.find(arg["path"], "path").metadata()


def list_folder(arg: Json) -> Json:
    recursive, limit = bool(arg.get("recursive")), int(arg.get("limit") or 500)
    return ACCOUNT.list_folder(arg["path"], recursive=recursive, limit=limit)


def list_folder_continue(arg: Json) -> Json:
    return ACCOUNT.list_folder_continue(arg["cursor"], limit=500)


def get_temporary_link(arg: Json) -> Json:
    entry, data = ACCOUNT.find_file(arg["path"])
    token = uuid.uuid4().hex
    LINKS[token] = data
    return {"metadata": entry.metadata(), "link": f"http://{HOST}:{sys.argv[1]}/link/{token}"}


def delete_v2(arg: Json) -> Json:
    return {"metadata": ACCOUNT.delete(arg["path"]).metadata()}


def create_folder_v2(arg: Json) -> Json:
    entry = ACCOUNT.create_folder(arg["path"], autorename=bool(arg.get("autorename")))
    metadata = entry.metadata()
    del metadata[".tag"]  # The type is known from the route.
    return {"metadata": metadata}


def copy(arg: Json) -> Json:
    return relocate(arg, move=False)


def copy_v2(arg: Json) -> Json:
    return {"metadata": relocate(arg, move=False)}


def move_v2(arg: Json) -> Json:
    return {"metadata": relocate(arg, move=True)}


def relocate(arg: Json, *, move: bool) -> Json:
    autorename = bool(arg.get("autorename"))
    entry = ACCOUNT.copy(arg["from_path"], arg["to_path"], move=move, autorename=autorename)
    return entry.metadata()


def upload(arg: Json, data: bytes) -> Json:
    verify_hash(arg, data)
    try:
        return untagged(ACCOUNT.write(arg, data).metadata())
    except Refused as refused:
        # The error of this route is a structure around the WriteError.
        reason = refused.body["error"]
        raise Refused("path", reason=reason, upload_session_id="") from None


def upload_session_start(arg: Json, data: bytes) -> Json:
    verify_hash(arg, data)
    session = uuid.uuid4().hex
    SESSIONS[session] = bytearray(data)
    if arg.get("close"):
        CLOSED.add(session)
    return {"session_id": session}


def upload_session_append_v2(arg: Json, data: bytes) -> None:
    session = find_session(arg["cursor"])
    if arg["cursor"]["session_id"] in CLOSED:
        raise Refused("closed")
    verify_hash(arg, data)
    session += data
    if arg.get("close"):
        CLOSED.add(arg["cursor"]["session_id"])


def upload_session_finish(arg: Json, data: bytes) -> Json:
    session = find_session(arg["cursor"], "lookup_failed")
    verify_hash(arg, data)
    try:
        entry = ACCOUNT.write(arg["commit"], bytes(session) + data)
    except Refused as refused:
        error = refused.body["error"]
        raise Refused("path", path=error) from None
    del SESSIONS[arg["cursor"]["session_id"]]
    return untagged(entry.metadata())


def find_session(cursor: Json, *tags: str) -> bytearray:
    session = SESSIONS.get(cursor["session_id"])
    if session is None:
        raise Refused(*tags, "not_found")
    if cursor["offset"] != len(session):
        raise Refused(*tags, "incorrect_offset", correct_offset=len(session))
    return session


def verify_hash(arg: Json, data: bytes) -> None:
    if arg.get("content_hash") not in (None, content_hash(data)):
        raise Refused("content_hash_mismatch")


def untagged(metadata: Json) -> Json:
    return {name: value for name, value in metadata.items() if name != ".tag"}


CALLS: dict[str, Any] = {
    "get_metadata": get_metadata,
    "list_folder": list_folder,
    "list_folder/continue": list_folder_continue,
    "get_temporary_link": get_temporary_link,
    "delete_v2": delete_v2,
    "create_folder_v2": create_folder_v2,
    "copy": copy,
    "copy_v2": copy_v2,
    "move_v2": move_v2,
}
UPLOADS: dict[str, Any] = {
    "upload": upload,
    "upload_session/start": upload_session_start,
    "upload_session/append_v2": upload_session_append_v2,
    "upload_session/finish": upload_session_finish,
}


class DropboxHandler(Handler):
    """Finds the route, and turns refusals into status codes."""

    def do_POST(self) -> None:  # noqa: N802
        body = self.body()
        route = urllib.parse.unquote(self.path).removeprefix("/2/files/")
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token == "expired":
            tag = "expired_access_token" if token else "invalid_access_token"
            self.send_json({"error_summary": f"{tag}/...", "error": {".tag": tag}}, 401)
            return
        try:
            argument = self.headers.get("Dropbox-API-Arg")
            if route == "download":
                self._download(json.loads(argument or "{}"))
            elif route in UPLOADS:
                with LOCK:
                    answer = UPLOADS[route](json.loads(argument or "{}"), body)
                self.send_json(answer)
            elif route in CALLS:
                with LOCK:
                    answer = CALLS[route](json.loads(body))
                self.send_json(answer)
            else:
                self.send_text(f"Unknown route {route!r}", 400)
        except Refused as refused:
            self.send_json(refused.body, 409)
        except (Malformed, KeyError, ValueError) as error:
            self.send_text(f"Error in call to API function {route!r}: {error}", 400)

    def do_GET(self) -> None:  # noqa: N802
        """Serve the temporary links."""
        data = LINKS.get(self.path.removeprefix("/link/"))
        if data is None:
            self.send_text("This link has expired.", 410)
        else:
            self.send_bytes(data)

    def _download(self, argument: Json) -> None:
        with LOCK:
            entry, data = ACCOUNT.find_file(argument["path"])
        self.send_bytes(
            data,
            Dropbox_API_Result=json.dumps(untagged(entry.metadata())),
            ETag=f'W/"{entry.rev}"',
        )


if __name__ == "__main__":
    LoopbackServer(int(sys.argv[1]), DropboxHandler).serve_forever()
