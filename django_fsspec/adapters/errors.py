"""Classify exceptions of client libraries, and make the errors that adapters raise."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from django_fsspec.exceptions import StorageError


class AnswerLost(FileExistsError):
    """There is a file, which an earlier try of the same request may have made.

    The answer to that try was lost: whoever has a way to tell looks what is there.
    """


class CutShort(StorageError):
    """A body ended, as a whole one does, before the bytes that the service told of."""


class AccessRefused(PermissionError):
    """Access is refused by what is no credential; its text says what to do."""


class UntrustedHost(AccessRefused):
    """A server's host key is not one that the site knows; its text says what to do."""


class NotSigned(StorageError):
    """A URL was not signed, by a request or by a signer of the site; its text says why.

    `option` is that of the storage which is at fault.
    """

    option = "fs_options"


#: HTTP status -> the built-in exception that it means
_STATUS: dict[int, type[OSError]] = {
    401: PermissionError,
    403: PermissionError,
    404: FileNotFoundError,
    408: TimeoutError,
    409: FileExistsError,
    412: FileExistsError,
    504: TimeoutError,
}

#: name of a client library's exception class, or of a base of it -> what it means
_NAMES: dict[str, type[OSError]] = {
    "ConnectTimeoutError": TimeoutError,
    "ReadTimeoutError": TimeoutError,
    "ServerTimeoutError": TimeoutError,
    "TimeoutException": TimeoutError,
    "ServiceRequestTimeoutError": TimeoutError,
    "ServiceResponseTimeoutError": TimeoutError,
    "NoCredentialsError": PermissionError,
    "PartialCredentialsError": PermissionError,
    "CredentialRetrievalError": PermissionError,
    "DefaultCredentialsError": PermissionError,
    "RefreshError": PermissionError,
    "ClientAuthenticationError": PermissionError,
    "PermissionDenied": PermissionError,
    "AuthenticationException": PermissionError,
    "BadHostKeyException": PermissionError,
    "HostKeyNotVerifiable": PermissionError,
    "ResourceNotFoundError": FileNotFoundError,
    "ResourceExistsError": FileExistsError,
}


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status that a client library's exception carries, if any."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    for holder, name in (
        (error, "status"),
        (error, "status_code"),
        (error, "code"),
        (response, "status_code"),
    ):
        value = getattr(holder, name, None)
        if isinstance(value, int):
            return value if 100 <= value < 600 else None
    return None


def classify(error: BaseException) -> type[OSError] | None:
    """Return the built-in exception that `error` means, looking through its causes."""
    seen: BaseException | None = error
    for _ in range(4):
        if seen is None or isinstance(seen, StorageError):
            return None
        for built_in in (FileNotFoundError, FileExistsError, PermissionError, TimeoutError):
            if isinstance(seen, built_in):
                return built_in
        for klass in type(seen).__mro__:
            if klass.__name__ in _NAMES:
                return _NAMES[klass.__name__]
        status = http_status(seen)
        if status in _STATUS:
            return _STATUS[status]
        seen = seen.__cause__
    return None


def not_found(path: str) -> FileNotFoundError:
    """Return the error of a missing file."""
    return FileNotFoundError(errno.ENOENT, "No such file", path)


def exists_already(path: str) -> FileExistsError:
    """Return the error of creating a file where there is one."""
    return FileExistsError(errno.EEXIST, "File exists", path)


def answer_lost(path: str) -> AnswerLost:
    """Return the error of creating a file that an earlier try may have created."""
    return AnswerLost(errno.EEXIST, "File exists", path)


def short_write(path: str, expected: int, stored: int | None) -> StorageError:
    """Return the error of a file that was stored in part; sizes are in bytes."""
    return StorageError(f"{path!r} was written with {stored} bytes instead of {expected}.")


def changed_while_read(path: str) -> StorageError:
    """Return the error of a stream that can't resume, because the file is another one by now."""
    return StorageError(f"{path!r} changed while it was being read.")


def cut_short(path: str, received: int, size: int) -> CutShort:
    """Return the error of a body that ended early; `received` and `size` are in bytes."""
    return CutShort(
        f"{path!r} ended after {received} of {size} bytes: something on the way cut it, or it "
        "was replaced. Read it again."
    )


def read_failed(path: str) -> StorageError:
    """Return the error of reading on where bytes may be missing."""
    return StorageError(f"An earlier read of {path!r} failed or was cancelled: open it again.")


def no_directory(path: str) -> StorageError:
    """Return the error of a file where a directory is needed."""
    return StorageError(f"{path!r} is a file, where a directory is needed.")


def not_empty(path: str) -> StorageError:
    """Return the error of deleting a directory that is not empty."""
    return StorageError(f"{path!r} is a directory that is not empty.")


def is_directory(path: str) -> StorageError:
    """Return the error of writing a file where there is a directory."""
    return StorageError(f"{path!r} is a directory.")


def missing_file(error: FileNotFoundError) -> StorageError:
    """Return the error of a file of this machine, such as a key, that is missing."""
    return StorageError(f"fs_options or the environment name a file that is not there: {error}")


@contextlib.contextmanager
def local_files_told() -> Iterator[None]:
    """Tell a missing file of this machine, such as a token, from a missing object of a bucket.

    Raises ``StorageError`` for the first: nothing is known of the object then.
    """
    try:
        yield
    except FileNotFoundError as error:
        if isinstance(error.filename, str) and Path(error.filename).is_absolute():
            raise missing_file(error) from error
        raise


def untrusted(fault: str) -> UntrustedHost:
    """Return the error of a server whose host key is not in the known_hosts file."""
    return UntrustedHost(
        errno.EACCES,
        f"{fault}: compare the server's key, add it to the file of fs_options['known_hosts'] "
        "(~/.ssh/known_hosts unless set; ssh-keyscan -p PORT HOST prints it)",
    )
