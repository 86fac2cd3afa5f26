"""FTPS whose server proves who it is: fsspec gives ftplib no TLS settings, so it trusts any."""

from __future__ import annotations

import ftplib
import ssl
from typing import Any

from fsspec.implementations.ftp import FTPFileSystem

from django_fsspec.exceptions import StorageError

#: values of fsspec's option `tls` that mean implicit FTPS; which TLS is spoken, the context says
IMPLICIT = ("tls", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2")

#: OpenSSL's verify codes for a certificate of another host name, or of another IP address
_OTHER_NAME = (62, 64)
#: OpenSSL's reasons when the other side sends anything but TLS, by version
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")


class _ImplicitFTPS(ftplib.FTP_TLS):
    """FTPS that is encrypted from the first byte, on a port of its own."""

    _socket: Any = None

    @property
    def sock(self) -> Any:
        return self._socket

    @sock.setter
    def sock(self, value: Any) -> None:
        if value is not None and not isinstance(value, ssl.SSLSocket):
            value = self.context.wrap_socket(value, server_hostname=self.host)
        self._socket = value


class FTPSFileSystem(FTPFileSystem):  # type: ignore[misc]
    """fsspec's filesystem with verified certificates and encrypted data, in both kinds of FTPS.

    `tls` is True for explicit FTPS, a str for implicit. `ssl_context` says whom to trust, by
    default the authorities that the system trusts.
    """

    def __init__(
        self, *args: Any, ssl_context: ssl.SSLContext | None = None, **kwargs: Any
    ) -> None:
        self.ssl_context = ssl_context or ssl.create_default_context()
        super().__init__(*args, **kwargs)

    def _connect(self) -> None:
        client = _ImplicitFTPS if isinstance(self.tls, str) else ftplib.FTP_TLS
        self.ftp = client(context=self.ssl_context, timeout=self.timeout, encoding=self.encoding)
        try:
            self.ftp.connect(self.host, self.port)
            self.ftp.login(*self.cred)
            self.ftp.prot_p()
        except ssl.SSLCertVerificationError as error:
            self.ftp.close()
            raise StorageError(self._distrust(error)) from error
        except ssl.SSLError as error:
            self.ftp.close()
            if error.reason not in _NO_TLS:
                raise
            raise StorageError(
                f"port {self.port} of {self.host} answered without TLS ({error.reason}): "
                "'tls': True is explicit FTPS, 'tls': 'tls' implicit FTPS, which has a port of "
                "its own"
            ) from error
        except BaseException:
            self.ftp.close()
            raise

    def _distrust(self, error: ssl.SSLCertVerificationError) -> str:
        if error.verify_code in _OTHER_NAME:
            return (
                f"the certificate of {self.host} is not for that name ({error.verify_message}): "
                "set fs_options['host'] to a name that the certificate has"
            )
        return (
            f"the certificate of {self.host} is not trusted ({error.verify_message}): for an "
            "authority of your own set fs_options['ssl_context'] to "
            "ssl.create_default_context(cafile='…')"
        )
