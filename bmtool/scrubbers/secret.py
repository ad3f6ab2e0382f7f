"""Keys, tokens and passwords."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import ClassVar

from bmtool.contracts import Scrubber
from bmtool.data.text.patterns import any_case

#: Secrets that tell what they are by how they start, as their issuers document them.
_KNOWN = (
    r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}",  # AWS access key
    r"gh[pousr]_[A-Za-z0-9]{36,}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{60,}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_.-]{20,}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"xapp-\d-[A-Za-z0-9-]{20,}",
    r"AIza[A-Za-z0-9_-]{35}",  # Google API key
    r"ya29\.[A-Za-z0-9_-]{20,}",  # Google OAuth
    r"GOCSPX-[A-Za-z0-9_-]{28}",
    r"sk-(?:proj|svcacct|admin|ant|or|lf)-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic, OpenRouter, Langfuse
    r"sk-[A-Za-z0-9]{32,}",  # OpenAI, DeepSeek, Moonshot
    r"[prs]k_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{24,}",
    r"hf_[A-Za-z0-9]{30,}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,}",
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}",  # SendGrid
    r"(?:AC|SK)[0-9a-f]{32}",  # Twilio
    r"key-[0-9a-f]{32}",  # Mailgun
    r"do[opr]_v1_[0-9a-f]{64}",  # DigitalOcean
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    r"dapi[0-9a-f]{32}",  # Databricks
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    r"LTAI[A-Za-z0-9]{12,24}",  # Alibaba Cloud
    r"AKID[A-Za-z0-9]{32}",  # Tencent Cloud
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",  # JSON web token (RFC 7519)
)

#: PEM (RFC 7468) and OpenPGP's armour: to its end, or as far as lines of base64 go if the end is missing.
_PRIVATE_KEY = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[^-]|-[^-])*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|(?:\s*[A-Za-z0-9+/=]{16,})*)"
)

_PASSWORDS = any_case("password", "passwort", "passwd", "passphrase", "pwd")
_KEYS = any_case("secret", "token", "api_key", "apikey", "api-key", "access_key", "access-key", "accesskey")
_KEYS += "|" + any_case("auth_key", "authkey", "private_key", "client_key", "account_key", "accountkey", "credential")

#: `name = "value"`, `"name": "value"`, `name=value`; the name may go on behind the word.
_NAME = rf"(?:{_PASSWORDS}|{_KEYS})[A-Za-z0-9_-]*[\"']?\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}"
_ASSIGNED = rf"{_NAME}(?:[\"']([^\"'\s]{{8,}})[\"']|[\"']?([A-Za-z0-9+/=_.~!@#$%^*-]{{8,}}))"
_BEARER = rf"{any_case('bearer')} ([A-Za-z0-9._~+/=-]{{20,}})"
_IN_URL = r"[a-z][a-z0-9+.-]+://[A-Za-z0-9._~%-]*:([^\s:@/\"'<>]{3,})@"

_IS_KNOWN = re.compile(rf"{'|'.join(_KNOWN)}|-----BEGIN", re.ASCII)
_IS_PASSWORD = re.compile(rf"{_PASSWORDS}[A-Za-z0-9_-]*[\"']?\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}[\"']?$")
_ENDS_URL_USER = re.compile(r"(?:^|/)[A-Za-z0-9._~%-]*:$")

#: What a program reads the value from, words with separators, and what stands in for a value: no value.
_NO_SECRET = re.compile(
    r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+$|[$%{<]|.*(?:[xX]{4}|\*{3}|\.{3})"
    r"|[A-Za-z]+\d{0,3}(?:[-_/](?:[A-Za-z]+\d{0,3}|\d{1,3}))+$"
)

#: Bits a character. gitleaks asks for 3.5 of a value assigned to any name; a password is shorter.
_MIN_ENTROPY, _MIN_PASSWORD_ENTROPY = 3.5, 2.5
_MIN_CHARS = 16


class Secret(Scrubber):
    """Find keys and tokens by the prefixes of their issuers, private keys, and random values given to telling names.

    A telling name has `secret`, `token`, `api_key`, `password` or the like in it, followed by `=` or `:`; the name
    stays. So does what stands before a token after `Bearer`, and around the password in a URL.
    """

    precedence: ClassVar[int] = 10

    def pattern(self) -> str:
        """Known prefixes, private keys, assignments, bearer tokens, passwords in URLs."""
        return rf"\b(?:{'|'.join(_KNOWN)})|{_PRIVATE_KEY}|{_ASSIGNED}|{_BEARER}|\b{_IN_URL}"

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """A known prefix is enough; else there are letters and digits, and nothing is spelled or repeated."""
        if _IS_KNOWN.match(value):
            return True
        if after.startswith("@") and _ENDS_URL_USER.search(before):
            return not value.startswith(("$", "{", "<", "%"))
        if after.startswith(("(", "[")) or _NO_SECRET.match(value):
            return False
        if not any(c.isdigit() for c in value) or not any(c.isalpha() for c in value):
            return False
        if _IS_PASSWORD.search(before):
            return entropy(value) >= _MIN_PASSWORD_ENTROPY
        return len(value) >= _MIN_CHARS and entropy(value) >= _MIN_ENTROPY


def entropy(text: str) -> float:
    """Shannon's entropy of the characters of `text`, in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())
