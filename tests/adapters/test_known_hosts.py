"""paramiko's check of host keys agrees with OpenSSH on every line of a known_hosts file."""

from __future__ import annotations

import asyncio
import getpass
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from django_fsspec.adapters.sftp.known_hosts import keys_of, matches
from django_fsspec.storage import FSSpecStorage
from tests.helpers.backends import backends_named, folder, server
from tests.servers import OpenSSH
from tests.servers.base import find_executable

pytestmark = [pytest.mark.once, pytest.mark.slow]

OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

#: lines of a file; {name} is "[host]:port", {key} the server's key
FILES: dict[str, str] = {
    "the key": "{name} {key}",
    "nothing": "",
    "another key": "{name} {other}",
    "two keys of a type": "{name} {other}\n{name} {key}",
    "two keys of a type, ours first": "{name} {key}\n{name} {other}",
    "another host's": "[127.0.0.2]:{port} {key}",
    "another port's": "[127.0.0.1]:1 {key}",
    "without the port": "127.0.0.1 {key}",
    "another key with the port": "{name} {other}\n127.0.0.1 {key}",
    "in a list": "example.com,{name},10.0.0.1 {key}",
    "tabs and a comment": "  {name}\t{key}\ta comment\n# {name} {other}",
    "revoked": "{name} {key}\n@revoked {name} {key}",
    "revoked for every host": "@revoked * {key}\n{name} {key}",
    "revoked without the port": "@revoked 127.0.0.1 {key}\n127.0.0.1 {key}",
    "revoked without the port alone": "@revoked 127.0.0.1 {key}\n{name} {key}",
    "revoked and nothing else": "@revoked {name} {key}",
    "another revoked": "@revoked {name} {other}\n{name} {key}",
    "revoked for another host": "@revoked [10.0.0.1]:{port} {key}\n{name} {key}",
    "an authority besides": "@cert-authority *.example.com {other}\n{name} {key}",
    "an authority of the host besides": "@cert-authority {name} {other}\n{name} {key}",
    "an authority only": "@cert-authority {name} {other}",
    "its key as an authority": "@cert-authority {name} {key}",
    "an unknown marker": "@trusted {name} {key}",
    "two markers": "@revoked @revoked {name} {key}\n{name} {key}",
    "a star": "* {key}",
    "a star in brackets": "[*]:{port} {key}",
    "a star in the address": "127.0.0.* {key}",
    "question marks": "[127.0.?.?]:{port} {key}",
    "brackets are no wildcard": "[0-9]27.0.0.1 {key}",
    "all but this": "![127.0.0.1]:{port},!127.0.0.1,* {key}",
    "all but this port": "*,![127.0.0.1]:{port} {key}",
    "all but another": "!10.0.0.1,* {key}",
    "only an exclusion": "!10.0.0.1 {key}",
    "lines without sense": "nonsense\n{name} ssh-ed25519 not*base64\n{name} {key}",
    "a key cut short": "{name} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO\n{name} {key}",
    "a key of another type's name": "{name} ssh-rsa {blob}\n",
    "bytes that are no UTF-8": "{name} {key} \udce4\n",
    "lines that end with CR LF": "{name} {key}\r",
    "a carriage return in a line": "{name} {other}\r{name} {key}",
    "a vertical tab": "{name}\x0b{key}",
    "a form feed": "{name}\x0c{key}",
    "a space of Unicode": "{name}\u00a0{key}",
    "more padding than a key has": "{name} {key}====",
    "another revoked, and without the port": "@revoked {name} {other}\n127.0.0.1 {key}",
    "revoked, and without the port": "@revoked {name} {key}\n127.0.0.1 {key}",
    "an authority, and without the port": "@cert-authority {name} {other}\n127.0.0.1 {key}",
    "a number before, as in SSH 1": "{name} 1024 35 12345\n{name} {key}",
}


def written(text: str, at: Path) -> Path:
    """Write a known_hosts file about the server."""
    ssh = server(OpenSSH)
    _, key_type, blob = ssh.known_hosts.read_text().split()
    filled = text.format(
        name=f"[127.0.0.1]:{ssh.port}",
        port=ssh.port,
        key=f"{key_type} {blob}",
        blob=blob,
        other=OTHER,
    )
    at.write_bytes(f"{filled}\n".encode("utf-8", "surrogateescape"))
    return at


def ssh_accepts(known_hosts: Path) -> bool:
    """Return whether OpenSSH's client logs in with this file."""
    ssh = server(OpenSSH)
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "IdentityFile": ssh.user_key,
        "IdentitiesOnly": "yes",
    }
    command: list[Any] = [find_executable("ssh", "apt-get install openssh-client"), "-F", "none"]
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    command += ["-p", str(ssh.port), f"{getpass.getuser()}@127.0.0.1", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode in (0, 255), done.stderr
    refused = "verification failed" in done.stderr or "revoked" in done.stderr
    assert done.returncode == 0 or refused, done.stderr
    return done.returncode == 0


def storage_with(known_hosts: Path) -> FSSpecStorage:
    (backend,) = backends_named("sftp by paramiko (OpenSSH)")
    options = backend.options(folder())
    fs_options = {**options["fs_options"], "known_hosts": str(known_hosts)}
    return FSSpecStorage(**{**options, "fs_options": fs_options})


@pytest.mark.parametrize("file", FILES)
def test_paramiko_accepts_what_ssh_accepts(file: str, tmp_path: Path) -> None:
    known_hosts = written(FILES[file], tmp_path / "known_hosts")
    storage = storage_with(known_hosts)
    if ssh_accepts(known_hosts):
        assert not storage.exists("a.txt")
    else:
        with pytest.raises(PermissionError, match=r"host key of \[127.0.0.1\]:\d+ is"):
            storage.exists("a.txt")
        with pytest.raises(PermissionError, match=r"host key of \[127.0.0.1\]:\d+ is"):
            asyncio.run(storage.aexists("a.txt"))


@pytest.mark.parametrize("file", ["the key", "two keys of a type", "a star", "revoked"])
def test_hashed_names(file: str, tmp_path: Path) -> None:
    known_hosts = written(FILES[file], tmp_path / "known_hosts")
    hashed(known_hosts)
    storage = storage_with(known_hosts)
    if ssh_accepts(known_hosts):
        assert not storage.exists("a.txt")
    else:
        with pytest.raises(PermissionError, match="is revoked"):
            storage.exists("a.txt")


def hashed(known_hosts: Path) -> None:
    keygen = find_executable("ssh-keygen", "apt-get install openssh-client")
    subprocess.run([keygen, "-H", "-f", str(known_hosts)], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("nothing", "is not known: compare"),
        ("another key", "is not the one we know: compare"),
        ("revoked", "is revoked in the file of fs_options.*give the server another key"),
        ("an authority only", "paramiko checks no certificates"),
    ],
)
def test_the_error_tells_why(file: str, said: str, tmp_path: Path) -> None:
    storage = storage_with(written(FILES[file], tmp_path / "known_hosts"))
    with pytest.raises(PermissionError, match=said):
        storage.exists("a.txt")


def test_a_missing_file_knows_no_host(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="is not known"):
        storage_with(tmp_path / "known_hosts").exists("a.txt")


HOSTS = (
    "example.com",
    "Example.COM",
    "*.example.com",
    "*.example.com,!www.example.com",
    "!www.example.com",
    "www.example.???",
    "[www.example.com]:2222",
    "[*.example.com]:*",
    "*:2222",
    "192.168.[01].1",
    "fe80::1",
    "|1|nonsense",
    "|1|a|b|c",
    "*",
)
NAMES = ("example.com", "www.example.com", "WWW.example.com", "[www.example.com]:2222", "fe80::1")


def test_names_match_as_ssh_keygen_finds_them(tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("".join(f"{hosts} {OTHER}\n" for hosts in HOSTS))
    keygen = find_executable("ssh-keygen", "apt-get install openssh-client")
    for name in NAMES:
        command = [keygen, "-F", name, "-f", str(known_hosts)]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        lines = {int(number) for number in re.findall(r"found: line (\d+)", found)}
        ours = {number for number, hosts in enumerate(HOSTS, 1) if matches(hosts, name)}
        assert ours == lines, name


def test_port_22_has_no_brackets() -> None:
    text = f"example.com {OTHER}\n[example.com]:22 {OTHER.replace('IOMq', 'IOMr')}\n"
    (key_type, _), *others = keys_of(text, "example.com", 22).trusted
    assert (key_type, others) == ("ssh-ed25519", [])
