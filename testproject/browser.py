"""A browser of few words: cookies, forms, uploads, and what the demo's page shows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

TIMEOUT = 60


@dataclass(frozen=True)
class ShownFile:
    """A file as the page lists it."""

    name: str
    size: int
    content_type: str
    url: str


@dataclass(frozen=True)
class Response:
    """An answer, and where redirects led to."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def page(self) -> Page:
        return Page(self.body.decode())


@dataclass(frozen=True)
class Item:
    """A thing that a page shows: what is said of it, and where its links and pictures lead."""

    kind: str
    data: Mapping[str, str]
    links: dict[str, str] = field(default_factory=dict)
    pictures: list[Mapping[str, str]] = field(default_factory=list)

    def __getitem__(self, key: str) -> str:
        return self.data[f"data-{key}"]


class Page(HTMLParser):
    """What is to be read on a page: its items, its messages, the hidden token of its forms."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.items: list[Item] = []
        self.messages: list[str] = []
        self.errors: list[str] = []
        self.assets: list[str] = []
        self.token = ""
        #: what a strict Content-Security-Policy forbids
        self.inline: list[str] = []
        self.cost: Mapping[str, str] = {}
        #: what the input for files says of uploads past the form
        self.direct: Mapping[str, str] = {}
        self._reading: list[str] | None = None
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        classes = found.get("class", "").split()
        self.inline += [f"<{tag} {name}>" for name in found if name == "style" or name[:2] == "on"]
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(f"<{tag}>")
        if tag == "input" and found.get("name") == "csrfmiddlewaretoken":
            self.token = found["value"]
        elif tag == "link" and found.get("rel") == "stylesheet":
            self.assets.append(found["href"])
        elif tag == "script" and "src" in found:
            self.assets.append(found["src"])
        elif "data-item" in found:
            self.items.append(Item(found["data-item"], found))
        elif tag == "a" and classes and "href" in found and self.items:
            self.items[-1].links.setdefault(classes[0], found["href"])
        elif tag == "img" and self.items:
            self.items[-1].pictures.append(found)
        elif "data-queries" in found:
            self.cost = found
        elif "data-ticket" in found:
            self.direct = found
        elif "flash" in classes:
            self._reading = self.errors if "error" in classes else self.messages
            self._reading.append("")

    def handle_data(self, data: str) -> None:
        if self._reading is not None:
            self._reading[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self._reading = None

    def all(self, kind: str, **said: str) -> list[Item]:
        """Return the items of a kind of which all this is said."""
        wanted = {f"data-{key}": value for key, value in said.items()}
        return [
            one for one in self.items if one.kind == kind and wanted.items() <= one.data.items()
        ]

    @property
    def files(self) -> dict[str, ShownFile]:
        """The files of a folder, by name."""
        shown = self.all("file")
        return {
            one["name"]: ShownFile(one["name"], int(one["size"]), one["type"], one.links["name"])
            for one in shown
        }


@dataclass
class Browser:
    """Visits one site; keeps its cookies and sends the token of the last page it saw."""

    site: str
    token: str = ""
    cookies: CookieJar = field(default_factory=CookieJar)

    def __post_init__(self) -> None:
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self.cookies))

    def get(self, url: str, **headers: str) -> Response:
        """Fetch a URL, of this site or of another."""
        return self._send(Request(urljoin(self.site, url), headers=headers))

    def open(self, path: str = "/", **query: str) -> Page:
        """Fetch a page of this site, and remember the token of its forms."""
        page = self.get(f"{path}?{urlencode(query)}" if query else path).page
        self.token = page.token or self.token
        return page

    def post(
        self,
        path: str,
        fields: Mapping[str, str],
        files: Iterable[tuple[str, bytes]] = (),
        *,
        into: str = "uploads",
        token: str | None = None,
    ) -> Response:
        """Send a form with `files`, pairs of a name and bytes, and follow where it leads."""
        token = self.token if token is None else token
        boundary = uuid.uuid4().hex
        parts = [
            f'form-data; name="{name}"\r\n\r\n{value}'.encode()
            for name, value in {"csrfmiddlewaretoken": token, **fields}.items()
        ]
        parts += [
            f'form-data; name="{into}"; filename="{name}"\r\n\r\n'.encode() + data
            for name, data in files
        ]
        start = f"--{boundary}\r\nContent-Disposition: ".encode()
        body = b"".join(start + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        request = Request(urljoin(self.site, path), body, {"Content-Type": kind})
        return self._send(request)

    def ask(self, path: str, **question: Any) -> Any:
        """Ask a view of this site in JSON; return its answer."""
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.token}
        body = json.dumps(question).encode()
        return json.loads(self._send(Request(urljoin(self.site, path), body, headers)).body)

    def upload(self, page: Page, choice: str, name: str, data: bytes, content_type: str) -> str:
        """Send a file past a page's form to the storage `choice`; return its receipt."""
        ticket = json.loads(page.direct["data-ticket"])[choice]
        about = {"ticket": ticket, "name": name, "size": len(data), "type": content_type}
        plan = self.ask(page.direct["data-start-url"], **about)
        url, method = urljoin(self.site, plan["url"]), plan["method"]
        self._send(Request(url, data, plan["headers"], method=method))
        answer = self.ask(page.direct["data-finish-url"], upload=plan["upload"])
        receipt: str = answer["receipt"]
        return receipt

    def _send(self, request: Request) -> Response:
        try:
            answer = self._opener.open(request, timeout=TIMEOUT)
        except HTTPError as error:
            answer = error
        with answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status, answer.url, headers, answer.read())
