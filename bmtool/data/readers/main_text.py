"""Take the main text out of a web page, whatever its encoding and however broken it is."""

from __future__ import annotations

import codecs
from typing import Any

from bmtool.config.extras import EXTRAS
from bmtool.data.rows import BadRowError
from bmtool.errors import ConfigError

#: The extractor's time grows with the sum of all elements' depths: 0.1 µs each, measured. Pages of the web have some
#: thousand elements, 20 deep; 100,000 nested ones would take hours.
MAX_TOTAL_DEPTH = 20_000_000

#: A page with fewer tags can't reach that, however they are nested.
_FEW_TAGS = 6_000

NOT_DECODED = "text in another encoding than the page says"


def check_installed() -> None:
    """Raise ConfigError if the extractor isn't installed."""
    try:
        import resiliparse  # noqa: F401
    except ImportError:
        raise ConfigError(f"reading HTML needs an extra: {EXTRAS['html'].pip}") from None


def decoded(data: bytes, charset: str | None) -> str:
    """The page as text: UTF-8 if it is valid UTF-8, else as `charset` (from HTTP), the page or its bytes say.

    Raises:
        BadRowError: it isn't text in that encoding, or has NUL characters.
    """
    from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

    try:
        if data[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
            text = data.decode("utf-16")
        elif b"\x1b" in data:  # ISO-2022-JP is valid UTF-8, and something else
            raise UnicodeError
        else:
            text = data.decode("utf-8-sig")
    except UnicodeError:
        name = map_encoding_to_html5(charset) if charset else None
        text = _decoded_as(data, name or detect_encoding(data, from_html_meta=True))
    if "\0" in text:
        raise BadRowError("NUL character in a page")
    return text


def _decoded_as(data: bytes, encoding: str | None) -> str:
    try:
        return data.decode(encoding or "utf-8")
    except (UnicodeError, LookupError):
        raise BadRowError(NOT_DECODED) from None


def main_text(html: str) -> tuple[str, str | None]:
    """(main text, with line breaks between blocks, title) of a page.

    Navigation, comments, forms and scripts are left out, by the rules of Resiliparse (Bevendorff et al., ECIR 2018).

    Raises:
        BadRowError: it is nested so deeply that it would take minutes.
    """
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(html)
    if html.count("<") > _FEW_TAGS:
        _check_depth(tree)
    text: str = extract_plain_text(tree, main_content=True, alt_texts=False)
    return text.strip(), tree.title or None


def _check_depth(tree: Any) -> None:
    from resiliparse.parse.html import traverse_dom

    total = 0

    def count(context: Any) -> None:
        nonlocal total
        total += context.depth
        if total > MAX_TOTAL_DEPTH:
            raise BadRowError("HTML nested too deeply")

    if tree.body is not None:
        traverse_dom(tree.body, count, elements_only=True)
