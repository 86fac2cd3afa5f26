"""What a page does to upload a file past its form, with Django's test client."""

from __future__ import annotations

import json
from typing import Any

from django.http import QueryDict
from django.test import Client, RequestFactory
from django.urls import reverse

from django_fsspec import uploads
from django_fsspec.middleware import COOKIE, UploadsMiddleware
from tests.helpers.curl import Answer, curl


class Browser:
    """One visitor of the site."""

    def __init__(self, client: Client | None = None) -> None:
        self.client = client or Client()

    def as_visitor(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        """Call `work` as a view is called while this visitor's request is served."""
        request = RequestFactory().get("/")
        request.COOKIES.update({key: morsel.value for key, morsel in self.client.cookies.items()})
        made: list[Any] = []

        def view(request: Any) -> Any:
            from django.http import HttpResponse

            made.append(work(*args, **kwargs))
            return HttpResponse()

        response: Any = UploadsMiddleware(view)(request)
        if COOKIE in response.cookies:
            self.client.cookies[COOKIE] = response.cookies[COOKIE].value
        return made[0]

    def ticket(self, destination: uploads.Destination) -> str:
        made: str = self.as_visitor(uploads.ticket, destination)
        return made

    def ask(self, view: str, **question: Any) -> Any:
        """Ask one of the JSON views; return the response."""
        return self.client.post(
            reverse(f"django_fsspec:{view}"), json.dumps(question), content_type="application/json"
        )

    def start(
        self, destination: uploads.Destination, name: str, size: int, kind: str, **more: str
    ) -> Any:
        ticket = self.ticket(destination)
        return self.ask("start_upload", ticket=ticket, name=name, size=size, type=kind, **more)

    def put(self, place: dict[str, Any], data: bytes, **headers: str) -> Answer:
        """Send bytes to where an answer of ``start`` says."""
        sent = {**place["headers"], **headers}
        if place["url"].startswith("/"):
            sent.setdefault("Content-Length", str(len(data)))
            response = self.client.generic("PUT", place["url"], data, headers=sent)
            return Answer(response.status_code, {}, response.content)
        return curl(place["url"], "PUT", sent, body=data)

    def send(self, place: dict[str, Any], part: dict[str, Any], data: bytes) -> Answer:
        """Send a part of a file, or what is missing of it."""
        offset = part.get("offset", (part["number"] - 1) * (place["part_size"] or 0))
        body = data[offset : offset + part["size"]]
        headers = {**place["headers"], **part.get("headers", {})}
        if not part["url"].startswith("/"):
            # a browser sends no type with a part of a file, curl one of its own
            sent = {"Content-Type": "", **headers}
            return curl(part["url"], place["method"], sent, body=body)
        kind = headers.pop("Content-Type")
        response = self.client.generic(
            place["method"], part["url"], body, content_type=kind, headers=headers
        )
        return Answer(response.status_code, {}, response.content)

    def upload(self, destination: uploads.Destination, name: str, data: bytes, kind: str) -> str:
        """Do all of it and return the receipt."""
        place = self.start(destination, name, len(data), kind).json()
        if place["parts"]:
            for part in place["parts"]:
                assert self.send(place, part, data).status in (200, 201, 204, 308)
        else:
            answer = self.put(place, data)
            assert answer.status in (200, 201), answer.body
        finished = self.ask("finish_upload", upload=place["upload"])
        assert finished.status_code == 200, finished.content
        receipt: str = finished.json()["receipt"]
        return receipt

    def submitted(self, form: type[Any], field: str, *receipts: str, **options: Any) -> Any:
        """Return the form that this visitor submits with receipts."""
        data = QueryDict(mutable=True)
        data.setlist(f"{field}-receipt", list(receipts))
        made = form(data, {}, **options)
        self.as_visitor(made.full_clean)
        return made
