"""IPv4 and IPv6 addresses."""

from __future__ import annotations

import re
import socket
from typing import ClassVar

from bmtool.contracts import Scrubber

#: What stands before a version of four numbers: `version 1.2.3.4`, `v1.2.3.4`, `pkg-1.2.3.4`, `x==1.2.3.4`, and what
#: stands before a longer row of numbers.
_VERSION_AFTER = re.compile(
    r"(?:\b(?:version|versions|ver|vers|v|release|revision|rev|section|build|firmware)s?[.:]?\s{0,2}|[\w.)][-_.]|\w"
    r"|[=<>~!]=\s?)$",
    re.IGNORECASE | re.ASCII,
)

#: Small numbers, as versions and chapters have them: of all addresses but 10.x one in 4,000 looks so. It takes more to
#: be an address.
_LIKE_A_VERSION = re.compile(r"(?:[1-9]|1[1-9]|2\d|3[01])(?:\.(?:\d|[12]\d|3[01])){3}$")

_ADDRESS_AFTER = re.compile(
    r"(?://|@|\[|\b(?:ips?|ipv4|addr|address|addresses|host|hosts|server|servers|dns|ping|ssh|gateway|client|peer)\b"
    r"[^.\w]{0,3}(?:(?:is|are|was|of|for|the|at|in)\b[^.\w]{0,3}){0,2})$",
    re.IGNORECASE | re.ASCII,
)
_ADDRESS_BEFORE = re.compile(r":\d{1,5}\b|/\d\d?\b")

#: What stands behind one: more numbers, a letter or a suffix as in `1.2.3.4-rc1`, `1.2.3.4+dfsg`.
_VERSION_BEFORE = re.compile(r"\.\w|[-+~_]\w", re.ASCII)

#: A range of addresses, `10.0.0.1-10.0.0.9`, is no version, at neither end.
_RANGE_BEFORE = re.compile(r"-(?:\d{1,3}\.){3}\d{1,3}\b")
_RANGE_AFTER = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}-$")

#: A browser's version, `Chrome/120.0.0.0`; `host/10.1.2.3` is an address.
_BROWSER_AFTER = re.compile(r"[A-Za-z]/$")

#: Addresses of no one: this host, loop-back, masks and broadcast (RFC 6890).
_NO_ONE = re.compile(r"0\.|127\.|255\.")


class Ip(Scrubber):
    """Find IPv4 and IPv6 addresses in valid ranges, private networks included.

    Four numbers are a version and stay where a word such as `version`, a name and a hyphen, `==` or more numbers stand
    beside them; and where all are small (1.2.3.4), unless a port, a mask or a word such as `ip`, `host`, `server`
    says that they are an address. Addresses of no one stay: 0.x, 127.x, 255.x, `::1`. IPv6 is looked for where
    addresses are in use: 2000::/3, fc00::/7, fe80::/10 and ff00::/8 (IANA); so `abc::def` in a program stays.
    """

    precedence: ClassVar[int] = 60

    def pattern(self) -> str:
        """Four numbers up to 255; eight groups of hexadecimal digits, or fewer around `::`."""
        number = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
        group = "[0-9A-Fa-f]{1,4}"
        head = r"(?:[23][0-9A-Fa-f]{3}|[Ff][CDEFcdef][0-9A-Fa-f]{2})"
        tail = rf"(?:(?::{group}){{7}}|(?::{group}){{0,6}}::(?:{group}(?::{group}){{0,5}})?)"
        return rf"\b(?:{number}\.){{3}}{number}\b|\b{head}{tail}"

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """No version; no address of no one; eight groups at most."""
        if ":" in value:
            inside = re.match(r"[\w:]", after, re.ASCII) or re.search(r"(?:\b[0-9A-Fa-f]{1,4}|:):$", before, re.ASCII)
            return not inside and _is_ipv6(value)
        if _NO_ONE.match(value) or (value.endswith(".0.0") and _BROWSER_AFTER.search(before)):
            return False
        if _RANGE_BEFORE.match(after) or _RANGE_AFTER.search(before):
            return True
        if _VERSION_BEFORE.match(after):
            return False
        if _LIKE_A_VERSION.match(value) and not (_ADDRESS_AFTER.search(before) or _ADDRESS_BEFORE.match(after)):
            return False
        return not _VERSION_AFTER.search(before)

    def normalised(self, value: str) -> str:
        """IPv6 in its shortest form (RFC 5952)."""
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, value)) if ":" in value else value


def _is_ipv6(value: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, value)
    except OSError:
        return False
    return True
