"""Addresses of e-mail, in Latin, Greek and Cyrillic letters."""

from __future__ import annotations

from typing import ClassVar

from bmtool.contracts import Scrubber

#: Letters of scripts that are written with spaces: Latin with accents, Greek, Cyrillic. In others an address would take
#: the words before it along.
_LETTERS = "A-Za-z0-9\u00c0-\u024f\u0370-\u052f"

#: Endings of files that stand behind an @ in names such as `icon@2x.png`; none is a top-level domain.
_FILES = {"css", "gif", "jpeg", "jpg", "js", "json", "pdf", "png", "scss", "svg", "tiff", "ts", "txt", "webp", "xml"}


class Email(Scrubber):
    """Find e-mail addresses whose domain has at least one dot.

    Written-out forms such as `name at example dot org` stay, as do top-level domains in other scripts than Latin.
    """

    precedence: ClassVar[int] = 20

    def pattern(self) -> str:
        """Local part, @, labels, a top-level domain of letters (or `xn--...`)."""
        domain = rf"(?:[{_LETTERS}][{_LETTERS}-]*\.)+(?:[A-Za-z]{{2,24}}|xn--[a-z0-9]{{2,59}})"
        return rf"[{_LETTERS}_][{_LETTERS}_.+%'-]*@{domain}\b"

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """No file name behind the @."""
        del before, after
        return value.rpartition(".")[2].lower() not in _FILES

    def normalised(self, value: str) -> str:
        """In lower case: mail servers tell no capitals apart, in practice."""
        return value.lower()
