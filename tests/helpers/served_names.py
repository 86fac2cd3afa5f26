"""Names of files that a web server may run, or read as its own configuration."""

from __future__ import annotations

SERVED = [
    *(f"a.{extension}" for extension in ("phar", "asp", "aspx", "ashx", "asa", "jsp", "jspx")),
    *(f"a.{extension}" for extension in ("cgi", "fcgi", "pl", "shtml", "shtm", "stm", "cfm")),
    *("a.PhAr", "a.asp.", "a.asp ", "a.phar;", "a.ph\u200bar", "a.asp::$DATA"),
    *(".htaccess", ".htpasswd", "web.config", ".user.ini", ";.user.ini"),
]
