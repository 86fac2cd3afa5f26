"""paramiko's check of a server's host key against a known_hosts file."""

from __future__ import annotations

import os
from typing import Any

import paramiko

from django_fsspec.adapters.connection import untrusted


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Accepts the host keys in a known_hosts file and no others.

    fsspec's filesystem gives paramiko no keys to compare with, so paramiko asks about each; the
    file is read on every connect: what was added to it counts at once.
    """

    def __init__(self, path: str, host: str, port: int) -> None:
        self._path = os.path.expanduser(path)
        self._name = host if int(port) == paramiko.config.SSH_PORT else f"[{host}]:{port}"

    def _known(self) -> paramiko.HostKeys:
        keys = paramiko.HostKeys()
        if os.path.exists(self._path):
            keys.load(self._path)
        return keys

    def transport(self, *args: Any, **kwargs: Any) -> paramiko.Transport:
        """Return a transport that asks for the kinds of key we know first."""
        transport = paramiko.Transport(*args, **kwargs)
        known = self._known().lookup(self._name)
        if known is not None:
            security = transport.get_security_options()
            security.key_types = sorted(
                security.key_types,
                key=lambda kind: ("ssh-rsa" if kind.startswith("rsa-") else kind) not in known,
            )
        return transport

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        known = self._known().lookup(hostname)
        if known is None:
            raise untrusted(f"The host key of {hostname} is not known")
        if known.get(key.get_name()) != key:
            raise untrusted(f"The host key of {hostname} is not the one we know")
