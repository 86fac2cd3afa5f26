"""Translate exceptions of client libraries into the documented ones; hide secrets in messages."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation

from django_fsspec.adapters.errors import AccessRefused, AnswerLost, NotSigned
from django_fsspec.core.secret_names import KEY_FILES, SECRET_NAME, SIGNED, USERINFO
from django_fsspec.core.source import ContentFailed
from django_fsspec.exceptions import StorageError

from .options import OptionError

_HIDDEN = "********"


def secrets_in(value: Any, *, secret: bool = False) -> Iterator[str]:
    """Yield the strings in `fs_options` that must not be shown."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            named = bool(SECRET_NAME.search(str(key))) and key not in KEY_FILES
            yield from secrets_in(inner, secret=secret or named)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner, secret=secret)
    elif secret and isinstance(value, str) and len(value) >= 4:
        yield value
        # a connection string's parts show up on their own
        yield from (part.partition("=")[2] for part in value.split(";") if len(part) > 20)


def clear_locals(error: BaseException, handled: BaseException | None) -> None:
    """Clear the local variables of the frames that `error`, its causes and its parts have left.

    Passwords and signed headers are among them, in the frames of client libraries too. Debug
    pages, error mails and error trackers would show them. Left alone are `handled`, what the
    caller was handling before, and what content raised.
    """
    left: list[BaseException | None] = [error]
    # by id: an exception that is a dataclass has no hash
    seen = {id(handled)}
    while left:
        link = left.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        if not isinstance(link, ContentFailed):
            left += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]


class ErrorTranslator:
    """Turns exceptions of client libraries into the five that ``FSSpecStorage`` documents."""

    def __init__(
        self, fs_options: Mapping[str, Any], alias: str | None, timeout: float, retries: int
    ) -> None:
        self._fs_options, self._timeout, self._retries = fs_options, timeout, retries
        self.where = f"STORAGES[{alias!r}]" if alias else "FSSpecStorage"

    def setting(self, option: str) -> str:
        """Return the path of an option in the settings, or of the argument."""
        if self.where == "FSSpecStorage":
            return f"FSSpecStorage({option}=…)"
        return f"{self.where}['OPTIONS'][{option!r}]"

    def misconfigured(self, error: OptionError) -> ImproperlyConfigured:
        """Return the error for a wrong option, naming where it stands in the settings.

        The local variables of the frames that `error` has left are cleared, and its cause is
        dropped where it tells a secret.
        """
        traceback.clear_frames(error.__traceback__)
        if not self._is_safe(error.__cause__):
            clear_locals(error, None)
            error.__cause__ = None
        return ImproperlyConfigured(f"{self.setting(error.option)} {self.hidden(str(error))}")

    def hidden(self, text: str) -> str:
        """Return `text` without any secret of the options or of a signed URL."""
        for secret in secrets_in(self._fs_options):
            if secret:
                text = text.replace(secret, _HIDDEN)
        return SIGNED.sub(rf"\1{_HIDDEN}", USERINFO.sub(_HIDDEN, text))

    def translate(
        self, error: Exception, meaning: type[OSError] | None, name: str | None
    ) -> Exception:
        """Return what to raise instead of `error`; may be `error` itself."""
        if isinstance(error, ContentFailed) and isinstance(error.__cause__, Exception):
            return error.__cause__
        if isinstance(error, OptionError):
            return self.misconfigured(error)
        if isinstance(error, ImproperlyConfigured | SuspiciousFileOperation | NotImplementedError):
            return error
        if meaning is FileNotFoundError:
            return FileNotFoundError(errno.ENOENT, f"No such file in {self.where}", name)
        if meaning is FileExistsError:
            taken = AnswerLost if isinstance(error, AnswerLost) else FileExistsError
            return taken(errno.EEXIST, f"File exists in {self.where}", name)
        translated = self._built(error, meaning, name)
        # a cause is shown in tracebacks: keep it only when it tells no secret
        translated.__cause__ = error if self._is_safe(error) else None
        translated.__suppress_context__ = True
        return translated

    def _is_safe(self, error: BaseException | None) -> bool:
        """Return whether an exception and its causes tell no secret."""
        chain = "".join(map(str, _causes(error)))
        return self.hidden(chain) == chain

    def _built(self, error: Exception, meaning: type[OSError] | None, name: str | None) -> OSError:
        detail = self.hidden(_first_line(error))
        if isinstance(error, NotSigned):
            # its end says what to do
            text = self.hidden(str(error).partition("\n")[0])
            return NotSigned(f"{self.setting(error.option)} can't sign URLs: {text}")
        if isinstance(error, AccessRefused):
            return PermissionError(errno.EACCES, f"{self.where}: {error.strerror}", name)
        if meaning is PermissionError:
            credentials = self.setting("fs_options")
            if not any(secrets_in(self._fs_options)):
                credentials += ", or the default credentials of the client,"
            return PermissionError(
                errno.EACCES,
                f"{self.where} refused access ({detail}); check the credentials in "
                f"{credentials} and what they allow",
                name,
            )
        if meaning is TimeoutError:
            tries = self._retries + 1
            return TimeoutError(
                errno.ETIMEDOUT,
                f"{self.where} did not answer in {self._timeout:g} s, {tries} "
                f"{'try' if tries == 1 else 'tries'} ({detail}); check the address in "
                f"{self.setting('fs_options')} or raise {self.setting('timeout')}",
                name,
            )
        if isinstance(error, StorageError):
            return type(error)(f"{self.where}: {detail}")
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if isinstance(number, int) and number > 0 else ""
        text = detail or reason or type(error).__name__
        return StorageError(f"{self.where}: {text}{self._advice(error)}")

    def _advice(self, error: Exception) -> str:
        text = f"{type(error).__name__} {error}"
        if "Invalid endpoint" in text:
            return f"; write the address in {self.setting('fs_options')} with http:// or https://"
        if re.search(r"[Cc]onnect|resolve|Name or service|unreachable|refused", text):
            return f"; check the address in {self.setting('fs_options')}"
        if re.search(r"[Bb]ucket|[Cc]ontainer", text):
            return f"; create it or correct {self.setting('prefix')}"
        return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text[:300] or type(error).__name__
