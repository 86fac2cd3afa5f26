"""Which options hold secrets, and where URLs hold them."""

from __future__ import annotations

import re

#: matches the name of an option whose value is a secret
SECRET_NAME = re.compile(
    r"key|secret|token|passw|passphrase|credential|connection_string|auth|sas", re.IGNORECASE
)
#: options of SSH clients whose strings are paths of files with keys
KEY_FILES = frozenset({"client_keys", "key_filename"})
#: a user and a password in a URL
USERINFO = re.compile(r"(?<=//)[^/\s@]+:[^/\s@]+(?=@)")
#: a value in the query of a URL that is signed, which a server may have redirected to
SIGNED = re.compile(
    rf"([?&][^=&\s]*(?:sig|{SECRET_NAME.pattern})[^=&\s]*=)[^&\s'\"<>)]+", re.IGNORECASE
)
