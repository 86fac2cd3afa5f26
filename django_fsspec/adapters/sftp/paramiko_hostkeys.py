"""paramiko's check of a server's host key against a known_hosts file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko

from django_fsspec.adapters.errors import UntrustedHost, untrusted

from .known_hosts import HostKeys, keys_of


class KnownHosts:
    """Accepts the host keys in a known_hosts file and no others.

    fsspec's filesystem gives paramiko no keys to compare with, and has it trust any server (an
    option for that came with fsspec 2026.9), so the transport compares; the file is read on every
    connect: what was added to it counts at once. paramiko's own reader of such files keeps one
    key of a type, knows no patterns, and fails at a line with a marker.
    """

    def __init__(
        self, path: str, host: str, port: int, factory: Callable[..., paramiko.Transport]
    ) -> None:
        self._path = Path(os.path.expanduser(path))
        self._host, self._port = host, int(port)
        self._name = host if self._port == paramiko.config.SSH_PORT else f"[{host}]:{self._port}"
        self._factory = factory

    def _keys(self) -> HostKeys:
        try:
            # comments may be in any encoding, and a CR alone ends no line
            text = self._path.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            text = ""
        return keys_of(text, self._host, self._port)

    def transport(self, *args: Any, **kwargs: Any) -> paramiko.Transport:
        """Return a transport that asks for the kinds of key we know first.

        It hangs up on a server with another key, before anything is told to it.
        """
        transport = self._factory(*args, **kwargs)
        start = transport.start_client

        def start_checked(*args: Any, **kwargs: Any) -> None:
            start(*args, **kwargs)
            try:
                self._check(transport.get_remote_server_key())
            except BaseException:
                transport.close()
                raise

        transport.start_client = start_checked  # type: ignore[method-assign]
        keys = self._keys()
        known_types = {key_type for key_type, _ in keys.trusted - keys.revoked}
        security = transport.get_security_options()
        security.key_types = sorted(
            security.key_types,
            key=lambda name: ("ssh-rsa" if name.startswith("rsa-") else name) not in known_types,
        )
        return transport

    def _check(self, key: paramiko.PKey) -> None:
        keys, shown = self._keys(), (key.get_name(), key.asbytes())
        if shown in keys.revoked:
            raise UntrustedHost(
                errno.EACCES,
                f"The host key of {self._name} is revoked in the file of "
                "fs_options['known_hosts'] (@revoked): give the server another key",
            )
        if shown in keys.trusted:
            return
        if keys.trusted:
            raise untrusted(f"The host key of {self._name} is not the one we know")
        if keys.authorities:
            raise untrusted(
                f"The host key of {self._name} is not known, and paramiko checks no certificates "
                "(@cert-authority; sshfs does)"
            )
        raise untrusted(f"The host key of {self._name} is not known")
