"""paramiko's check of a server's host key against a known_hosts file."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import paramiko

from django_fsspec.adapters.errors import untrusted


class KnownHosts:
    """Accepts the host keys in a known_hosts file and no others.

    fsspec's filesystem gives paramiko no keys to compare with, and has it trust any server (an
    option for that came with fsspec 2026.9), so the transport compares; the file is read on every
    connect: what was added to it counts at once.
    """

    def __init__(
        self, path: str, host: str, port: int, factory: Callable[..., paramiko.Transport]
    ) -> None:
        self._path = os.path.expanduser(path)
        self._name = host if int(port) == paramiko.config.SSH_PORT else f"[{host}]:{port}"
        self._factory = factory

    def _known_keys(self) -> Any:
        keys = paramiko.HostKeys()
        if os.path.exists(self._path):
            keys.load(self._path)
        return keys.lookup(self._name)

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
        keys = self._known_keys()
        if keys is not None:
            security = transport.get_security_options()
            security.key_types = sorted(
                security.key_types,
                key=lambda name: ("ssh-rsa" if name.startswith("rsa-") else name) not in keys,
            )
        return transport

    def _check(self, key: paramiko.PKey) -> None:
        keys = self._known_keys()
        if keys is None:
            raise untrusted(f"The host key of {self._name} is not known")
        if keys.get(key.get_name()) != key:
            raise untrusted(f"The host key of {self._name} is not the one we know")
