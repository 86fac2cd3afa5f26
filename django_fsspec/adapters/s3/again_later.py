"""Answers of S3 that mean "again later", and which botocore takes for final.

botocore tries again after a broken connection, a 500, 502, 503 or 504, and the codes of throttling
(``SlowDown``), but not after a 429 without such a code, nor after a 409: S3 answers
``OperationAborted`` while another operation on the same object goes on, and
``ConditionalRequestConflict`` while another conditional write does (S3 API reference, "Error
responses"). A taken name is a 412 and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_fsspec.adapters.retries import pause_before

#: statuses that mean "again later" and are left to us
AGAIN_LATER = frozenset((408, 409, 429))
#: when this operation gives this code, all of the content is to be sent again
COMPLETE = "CompleteMultipartUpload"
CONFLICT = "ConditionalRequestConflict"


def answer_of(error: BaseException) -> Mapping[str, Any]:
    """Return S3's answer to a request, of botocore's error or of what s3fs made of it; or {}."""
    cause: BaseException | None = error
    while cause is not None:
        answer = getattr(cause, "response", None)
        if isinstance(answer, Mapping):
            return answer
        cause = cause.__cause__
    return {}


def code_of(answer: Mapping[str, Any]) -> str:
    """Return the error code of an answer (``NoSuchKey``); "" without one."""
    return str(answer.get("Error", {}).get("Code", ""))


def status_of(answer: Mapping[str, Any]) -> int:
    """Return the HTTP status of an answer; 0 without one."""
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def pause_after(
    tries: int,
    response: tuple[Any, Mapping[str, Any]] | None,
    operation: Any,
    attempts: int,
    **event: Any,
) -> float | None:
    """Return the seconds until a request is tried again; None to leave it to botocore.

    A handler of botocore's event ``needs-retry.s3``. `attempts` are the tries so far, `tries` the
    most there may be.
    """
    if response is None or status_of(response[1]) not in AGAIN_LATER:
        return None
    if operation.name == COMPLETE and code_of(response[1]) == CONFLICT:
        return None
    return pause_before(attempts) if attempts < tries else None


def tries_of(config: Any) -> int:
    """Return how often a client with this configuration makes a request at most."""
    return int((config.retries or {}).get("total_max_attempts", 1))
