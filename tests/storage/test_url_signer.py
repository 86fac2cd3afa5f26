"""The option `url_signer`: URLs under `base_url` are signed by an object of the site's choice."""

from __future__ import annotations

import asyncio
import pickle
import secrets
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.test import RequestFactory

from django_fsspec import FileObject
from django_fsspec.checks.doctor import Doctor
from django_fsspec.exceptions import NotSupported, StorageError
from django_fsspec.responses import file_response
from django_fsspec.signers import CloudflareSigner, CloudFrontSigner
from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage import FSSpecStorage, get_storage, storage_of
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers import cdn
from tests.helpers.backends import folder, server
from tests.helpers.curl import curl
from tests.helpers.debug_pages import debug_page

#: not in the source, which debug pages show
SECRET = secrets.token_hex(12)
SETTING = "STORAGES['default']['OPTIONS']['url_signer']"
BASE = "https://cdn.example.com/media/"


class Signer:
    """Signs as its tests like it; counts what it signed."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret, self.asked = secret, []

    asked: list[tuple[str, int, str]]

    def sign(self, url: str, expires_in: int, method: str) -> str:
        self.asked.append((url, expires_in, method))
        return f"{url}?signed={method}"


class UploadSigner(Signer):
    methods = frozenset({"GET", "PUT"})


class Leaky:
    """Raises with its key in the text, and in the variables of a frame."""

    def __repr__(self) -> str:
        return "<Leaky>"

    def sign(self, url: str, expires_in: int, method: str) -> str:
        key = SECRET
        raise ValueError(f"can't use {key}")


def sign(url: str, expires_in: int, method: str) -> str:
    return f"{url}?for={expires_in}"


signer = Signer()
no_signer = 7


def memory(**options: Any) -> dict[str, Any]:
    return {"fs": "memory", "prefix": folder(), "base_url": BASE, **options}


@pytest.mark.parametrize(
    "option",
    [Signer(), sign, f"{__name__}.signer", f"{__name__}.sign"],
    ids=lambda o: str(type(o)),
)
def test_an_object_a_callable_or_a_path(option: Any) -> None:
    with override_storage(default=memory(url_signer=option, url_expires_in=60)):
        storage = get_storage("default")
        url = storage.url("a b/ü.txt")
        assert url in (f"{BASE}a%20b/%C3%BC.txt?signed=GET", f"{BASE}a%20b/%C3%BC.txt?for=60")
        assert storage.sign("a b/ü.txt") == asyncio.run(storage.asign("a b/ü.txt")) == url
        assert FileObject("default", "a b/ü.txt").url == url
        assert storage.check() == []


def test_each_url_is_signed_once_within_its_window() -> None:
    made = Signer()
    storage = FSSpecStorage(**memory(url_signer=made))
    for _ in range(3):
        storage.url("a.txt")
        storage.sign("a.txt", expires_in=60)
    assert sorted(made.asked) == [(f"{BASE}a.txt", 60, "GET"), (f"{BASE}a.txt", 3600, "GET")]


def test_a_bounded_number_of_urls_is_remembered() -> None:
    made = Signer()
    storage = FSSpecStorage(**memory(url_signer=made))
    for number in range(5000):
        storage.url(f"{number}.txt")
    assert len(storage.urls._cache) <= 2048
    storage.url("4999.txt")
    storage.url("3500.txt")
    assert len(made.asked) == 5000
    storage.url("0.txt")
    assert len(made.asked) == 5001


@pytest.mark.urls("tests.helpers.no_urls")
@pytest.mark.parametrize(
    "wrong",
    [CloudFrontSigner(cdn.KEY_ID, cdn.PEM.replace("RSA", "ABC")), Leaky()],
    ids=("cloudfront", "leaky"),
)
def test_debug_pages_show_no_key(wrong: Any) -> None:
    with override_storage(default=memory(url_signer=wrong)):
        with pytest.raises(StorageError) as caught:
            get_storage("default").url("a.txt")
        report = debug_page(caught)
        assert "url_signer" in report
        assert SECRET not in report
        assert cdn.PEM[60:120] not in report


def test_uploads_are_signed_where_a_signer_says_so() -> None:
    s3 = server(servers.SeaweedS3)
    prefix = f"{s3.bucket}/{folder()}"
    options: dict[str, Any] = {"fs": "s3", "prefix": prefix, "fs_options": s3.fs_options}
    made, also = Signer(), UploadSigner()
    storage = FSSpecStorage(**options, base_url=BASE, url_signer=made)
    assert storage.sign("a.txt", for_upload=True).startswith(s3.url)
    assert made.asked == []
    storage = FSSpecStorage(**options, base_url=BASE, url_signer=also)
    assert storage.sign("a.txt", for_upload=True) == f"{BASE}a.txt?signed=PUT"
    with override_storage(default=memory(url_signer=made)):
        assert get_storage("default").sign("a.txt", for_upload=True).startswith("/files/")


def test_a_redirect_leads_to_the_signed_url(rf: RequestFactory) -> None:
    with cdn.CDN(cdn.cloudfront) as served:
        made = CloudFrontSigner(cdn.KEY_ID, cdn.PEM)
        with override_storage(default=memory(base_url=served.url, url_signer=made)):
            name = get_storage("default").save("größe 1+2.txt", ContentFile(b"content"))
            response: Any = file_response(rf.get("/"), FileObject("default", name), redirect=True)
            assert response.status_code == 302
            assert response["Location"] == get_storage("default").url(name)
            assert curl(response["Location"]).status == 200
            assert curl(response["Location"].partition("?")[0]).status == 403


@pytest.fixture
def leaky() -> Iterator[FSSpecStorage]:
    with override_storage(default=memory(url_signer=Leaky())):
        yield get_storage("default")


@pytest.mark.urls("tests.helpers.no_urls")
def test_a_signer_that_raises_is_named_without_its_key(leaky: FSSpecStorage) -> None:
    for ask in (leaky.url, lambda name: asyncio.run(leaky.asign(name))):
        with pytest.raises(StorageError) as caught:
            ask("a.txt")
        assert str(caught.value) == f"{SETTING} can't sign URLs: ValueError raised"
        seen: list[BaseException] = [caught.value]
        while further := seen[-1].__cause__ or seen[-1].__context__:
            seen.append(further)
        for error in seen:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if frame.f_globals["__name__"] != __name__ or frame.f_code.co_name == "sign":
                    assert SECRET not in repr(frame.f_locals)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_page_shows_urls_of_django_instead(
    leaky: FSSpecStorage, caplog: pytest.LogCaptureFixture
) -> None:
    assert {leaky.url(f"{n}.txt").split("/")[2] for n in range(5)} == {"file"}
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{SETTING} can't sign URLs: ValueError raised; ")
    (step,) = [step for step in Doctor(leaky).examine() if step.title == "sign"]
    assert step.problem == f"NotSigned: {SETTING} can't sign URLs: ValueError raised"


WRONG = [
    (Signer, "is the class Signer"),
    (7, "is a int"),
    ("nowhere.signer", "can't be imported"),
    (f"{__name__}.no_signer", "is a int"),
    (f"{__name__}.Signer", "is the class Signer"),
    (lambda url: url, "can't sign URLs: TypeError raised"),
    (lambda *args: None, "it returned a NoneType instead of a URL"),
    (CloudFrontSigner("K1", "/nowhere.pem"), "the private_key of CloudFrontSigner can't be read"),
    (CloudflareSigner(cdn.SECRET, 600), "raise the lifetime there and here, or lower url_expires"),
    (Leaky(), "can't sign URLs: ValueError raised"),
]


@pytest.mark.parametrize(("wrong", "fault"), WRONG, ids=[fault for _, fault in WRONG])
def test_a_wrong_signer_is_an_error_of_the_check(wrong: Any, fault: str) -> None:
    with override_storage(default=memory(url_signer=wrong)):
        (message,) = get_storage("default").check()
        assert message.id == "django_fsspec.E008"
        assert message.msg.startswith(f"{SETTING} ")
        assert fault in message.msg
        assert SECRET not in message.msg


def test_a_signer_needs_a_base_url() -> None:
    with override_storage(default=memory(base_url=None, url_signer=Signer())):
        (message,) = get_storage("default").check()
        assert "signs URLs under 'base_url': set that, too" in message.msg
        with pytest.raises(ImproperlyConfigured, match="set that, too"):
            get_storage("default").url("a.txt")


def test_cloudfront_needs_a_whole_url() -> None:
    made = CloudFrontSigner(cdn.KEY_ID, cdn.PEM)
    with override_storage(default=memory(base_url="/media/", url_signer=made)):
        (message,) = get_storage("default").check()
        assert "begin base_url with https:// and the domain" in message.msg


def test_urls_of_static_files_are_never_signed() -> None:
    with pytest.raises(ImproperlyConfigured, match="URLs of static files are public"):
        FSSpecStaticStorage(fs="memory", prefix=folder(), base_url=BASE, url_signer=Signer())


def test_neither_pickles_nor_migrations_hold_the_signer() -> None:
    with override_storage(default=memory(url_signer=CloudflareSigner(cdn.SECRET, 3600))):
        storage = get_storage("default")
        assert storage.deconstruct()[1:] == (("default",), {})
        pickled = pickle.dumps(storage)
        assert cdn.SECRET.encode() not in pickled
        assert pickle.loads(pickled) is storage is storage_of("default")
        assert cdn.SECRET not in repr(storage) + repr(storage.options) + repr(vars(storage))


def test_an_upload_url_of_a_signer_that_signs_none() -> None:
    class Wrong(CloudflareSigner):
        methods = ("PUT",)

    with override_storage(default=memory(url_signer=Wrong(cdn.SECRET, 60))):
        with pytest.raises(StorageError, match="signs downloads, not a PUT") as caught:
            get_storage("default").flows.run(
                get_storage("default").urls.signed("a.txt", 60, True, {})
            )
        assert not isinstance(caught.value, NotSupported)
