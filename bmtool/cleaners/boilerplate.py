"""Drop lines that belong to the page and not to the text: cookie notices, menus, calls to switch JavaScript on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bmtool.contracts import Cleaner
from bmtool.data.text.patterns import any_case

if TYPE_CHECKING:
    import pyarrow as pa

#: C4, section 2.2 (Raffel et al. 2020, https://jmlr.org/papers/v21/20-074.html): any line with the word Javascript.
_JAVASCRIPT = any_case("javascript")

#: The same in C4's program, where the paper says `boilerplate policy notices` (tensorflow_datasets, c4_utils.py).
_POLICY = any_case("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

#: RefinedWeb's line-wise filtering (Penedo et al. 2023, table 8) drops lines that are a button or a counter; these are
#: the ones that stand alone on a line.
_NAVIGATION = any_case(
    *("home", "menu", "search", "log in", "login", "log out", "logout", "sign in", "sign-in", "sign up", "register"),
    *("share", "tweet", "like", "reply", "print", "next", "previous", "back", "top", "back to top", "skip to content"),
    *("read more", "read more...", "show more", "load more", "contact", "contact us", "about", "about us", "subscribe"),
    *("comments", "advertisement", "items in cart", "view cart", "add to cart", "close", "toggle navigation"),
)
_COUNTER = (
    rf"[0-9][0-9.,kKmM]* ?{any_case('likes', 'like', 'shares', 'share', 'comments', 'comment', 'views', 'replies')}"
)

#: What a line ends with that ends no sentence: no mark of C4 (`.`, `!`, `?`, `"`) and none of other scripts (quotes,
#: Chinese and Japanese, Devanagari, Arabic, Armenian, Ethiopic); or `...`, as in C4's program.
_ENDS = (
    r".!?\"'\x{2019}\x{201d}\x{bb}\x{3002}\x{ff01}\x{ff1f}\x{300d}\x{300f}\x{964}\x{965}\x{61f}\x{6d4}\x{589}\x{1362}"
)
_UNPUNCTUATED = rf"[^\s{_ENDS}]\s*$|\.\.\.\s*$"

_AROUND = r"[\s|>:*\x{bb}\x{203a}-]*"

_PATTERNS = {
    "policy": _POLICY,
    "javascript": _JAVASCRIPT,
    "navigation": rf"^{_AROUND}(?:{_NAVIGATION}|{_COUNTER}){_AROUND}$",
    "unpunctuated": _UNPUNCTUATED,
}


class Boilerplate(Cleaner):
    """Drop whole lines: policy notices, JavaScript notices, lone words of a menu, and lines that end no sentence.

    The first two are C4's, the third RefinedWeb's (English). `unpunctuated` is C4's too, and off unless asked for: it
    drops headings, lists, verse and code. Here it knows the full stops of other scripts.
    """

    lines: tuple[Literal["policy", "javascript", "navigation", "unpunctuated"], ...] = Field(
        ("policy", "javascript", "navigation"), min_length=1
    )
    """Which lines go."""

    def clean(self, texts: pa.Array) -> pa.Array:
        """The texts without such lines; the other lines stay as they are."""
        from bmtool.data.text.cleaning import drop_lines

        return drop_lines(texts, "|".join(_PATTERNS[rule] for rule in self.lines))
