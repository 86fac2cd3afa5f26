"""known_hosts files, read as OpenSSH reads them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_MARKERS = ("@cert-authority", "@revoked")


class Entry(NamedTuple):
    """A line of the file."""

    #: "", "@revoked" or "@cert-authority"
    marker: str
    #: patterns, separated by commas, or one hashed name
    hosts: str
    #: "ssh-ed25519" for example
    key_type: str
    #: the key as a server sends it
    key: bytes


class HostKeys(NamedTuple):
    """The keys that a file holds for one host, each as (type, key)."""

    trusted: frozenset[tuple[str, bytes]]
    revoked: frozenset[tuple[str, bytes]]
    #: authorities that may sign the host's key
    authorities: frozenset[tuple[str, bytes]]


def entries(text: str) -> Iterator[Entry]:
    """Yield the entries of a file; lines that make no sense are left out, as OpenSSH does."""
    for line in text.split("\n"):
        # str.split() alone takes more for spaces than OpenSSH does
        fields = [field for field in re.split("[ \t]+", line) if field]
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", *_MARKERS):
            continue
        hosts, key_type, encoded = fields[:3]
        try:
            key = base64.b64decode(encoded)
        except ValueError:
            continue
        # a line may end with CR LF; what else is no base64 was left out
        if base64.b64encode(key).decode() != encoded.rstrip("\r"):
            continue
        # a key begins with the length of its type, and that (RFC 4253, section 6.6)
        if key.startswith(len(key_type).to_bytes(4, "big") + key_type.encode()):
            yield Entry(marker, hosts, key_type, key)


def matches(hosts: str, name: str) -> bool:
    """Return whether a host's `name` is one of the `hosts` of an entry.

    A pattern with "!" that matches excludes the host, whatever the other patterns say.
    """
    name = name.lower()
    if hosts.startswith("|"):
        return _is_hash_of(hosts, name)
    patterns = hosts.lower().split(",")
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    included = [pattern for pattern in patterns if not pattern.startswith("!")]
    return _any(included, name) and not _any(excluded, name)


def _any(patterns: Iterable[str], name: str) -> bool:
    """Return whether one of `patterns`, in which "*" and "?" are wildcards, matches all of it."""
    for pattern in patterns:
        expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, name):
            return True
    return False


def _is_hash_of(hashed: str, name: str) -> bool:
    """Return whether "|1|salt|hash" is the hash of `name`."""
    try:
        _, version, salt, digest = hashed.split("|")
        expected = base64.b64decode(digest, validate=True)
        made = hmac.digest(base64.b64decode(salt, validate=True), name.encode(), "sha1")
    except (ValueError, binascii.Error):
        return False
    return version == "1" and hmac.compare_digest(made, expected)


def keys_of(text: str, host: str, port: int) -> HostKeys:
    """Return the keys that the file `text` holds for a host.

    With another port than 22, a host's name is "[host]:port"; where that has no key, the name
    without the port counts, too.
    """
    held = list(entries(text))
    found = _named(held, host if port == 22 else f"[{host}]:{port}")
    if port == 22 or found.trusted:
        return found
    return HostKeys(*map(frozenset.union, found, _named(held, host)))


def _named(held: Iterable[Entry], name: str) -> HostKeys:
    """Return the keys of the entries for this name."""
    keys: dict[str, set[tuple[str, bytes]]] = {marker: set() for marker in ("", *_MARKERS)}
    for entry in held:
        if matches(entry.hosts, name):
            keys[entry.marker].add((entry.key_type, entry.key))
    return HostKeys(
        trusted=frozenset(keys[""]),
        revoked=frozenset(keys["@revoked"]),
        authorities=frozenset(keys["@cert-authority"]),
    )
