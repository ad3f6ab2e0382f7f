"""Reads SpamAssassin's corpus of mails: subject and text without headers, which would tell the label by themselves."""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import Message
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fetch_data_parts.archives import read_members
from fetch_data_parts.rows import Dropped

FOLDERS = {"easy-ham-1": "ham", "easy-ham-2": "ham", "hard-ham-1": "ham", "spam-1": "spam", "spam-2": "spam"}
HIDDEN = ("script", "style", "title")
REPLY = re.compile(r"^\s*(?:(?:re|fwd?|aw)\s*(?:\[\d+\])?:|\[[^\]]*\])\s*", re.IGNORECASE)


class Visible(HTMLParser):
    """Collects what a reader of an HTML mail sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._hidden += tag in HIDDEN
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in HIDDEN))
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def spam(package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Mails in the order of their files; `group` is the subject without "Re:" and list names: a thread stays whole."""
    mails = sorted((name, content) for name, content in read_members(package) if name.endswith(".txt"))
    for name, content in mails:
        folder, file = name.split("/")[-2:]
        if folder not in FOLDERS:
            continue
        mail = message_from_bytes(content, policy=policy.compat32)
        subject = _subject(mail)
        body = _body(mail)
        if not body:
            dropped["no text in the mail"] += 1
            continue
        number = f"{folder}/{file.split('.')[0]}"
        text = f"{subject}\n\n{body}" if subject else body
        yield {"text": text, "label": FOLDERS[folder], "group": _thread(subject) or number, "id": number}


def _subject(mail: Message) -> str:
    words = []
    for part, charset in decode_header(str(mail.get("Subject", ""))):
        words.append(part if isinstance(part, str) else _decode(part, charset))
    return _tidy("".join(words)).replace("\n", " ")


def _thread(subject: str) -> str:
    while (shorter := REPLY.sub("", subject)) != subject:
        subject = shorter
    return subject.strip().casefold()


def _body(mail: Message) -> str:
    """The plain text if there is one, else what the HTML shows."""
    texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
    for part in mail.walk():
        kind = part.get_content_type()
        content = part.get_payload(decode=True)
        if kind in texts and isinstance(content, bytes):
            text = _decode(content, part.get_content_charset())
            texts[kind].append(_visible(text) if kind == "text/html" else text)
    return _tidy("\n".join(texts["text/plain"])) or _tidy("\n".join(texts["text/html"]))


def _visible(html: str) -> str:
    reader = Visible()
    reader.feed(html)
    reader.close()
    return "".join(reader.parts)


def _decode(content: bytes, charset: str | None) -> str:
    """As the mail says if that holds; else UTF-8, else Latin-1 as Windows has it, which mail of 2002 mostly is."""
    for name in (charset, "utf-8", "windows-1252"):
        try:
            return content.decode(name or "ascii")
        except (LookupError, UnicodeDecodeError):
            continue
    return content.decode("latin-1")


def _tidy(text: str) -> str:
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.replace("\0", "").splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
