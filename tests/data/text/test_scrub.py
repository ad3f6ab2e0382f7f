import re

import pyarrow as pa
import pytest
from bmtool.contracts import Scrubber
from bmtool.data.text.scrub import CONTEXT_CHARS, MAX_REFUSED_BYTES, in_order, scrub
from bmtool.registry import SCRUBBERS
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = bytes(range(32))
ALL = [SCRUBBERS.load(name)() for name in SCRUBBERS.names()]

VALUES = {
    "email": "Anna.Mayer@mail.example.org",
    "phone": "+49 89 1234567",
    "ip": "192.168.17.4",
    "credit_card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "chinese_id": "11010519491231002X",
    "secret": "ghp_0123456789abcdefghijABCDEFGHIJ012345",
}


def scrubbed(*texts, scrubbers=ALL, key=None, kind=None):
    return scrub(pa.array(texts, kind or pa.string()), scrubbers, key)


def reference(text, scrubbers):
    """The same by Python's `re`, place by place."""
    ordered = in_order(scrubbers)
    patterns = [re.compile(scrubber.pattern(), re.ASCII) for scrubber in ordered]
    counts = {scrubber.name(): 0 for scrubber in ordered}
    resumes = [0] * len(ordered)
    out, done, place = [], 0, 0
    while place <= len(text):
        next_place = place + 1
        for index, scrubber in enumerate(ordered):
            match = patterns[index].match(text, place) if resumes[index] <= place else None
            if match is None:
                continue
            start, end = match.span(match.lastindex or 0)
            before, after = text[max(0, start - CONTEXT_CHARS) : start], text[end : end + CONTEXT_CHARS]
            if scrubber.is_valid(text[start:end], before, after):
                out += [text[done:start], f"[{scrubber.name().upper()}]"]
                counts[scrubber.name()] += 1
                done = next_place = end
                break
            if len(match[0].encode()) > MAX_REFUSED_BYTES:
                resumes[index] = match.end()
        place = next_place
    return "".join([*out, text[done:]]), counts


PIECES = st.one_of(
    st.sampled_from(
        [
            *VALUES.values(),
            "api_key = '",
            "password: ",
            "Tr0ub4dor&3",
            "https://u:",
            "@",
            ".",
            "+",
            "00",
            " ",
            "-",
            "\n",
            "tel ",
            "电话",
            "é",
            "😀",
            "AKIA",
            "sk-",
            "eyJ",
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----END RSA PRIVATE KEY-----",
            "2001:db8::",
            "fe80:",
            "version ",
            "(212) 555-0123",
            "030 123456",
            "138 1234 5678",
            "01 23 45 67 89",
            "x@2.png",
            "1.2.3.4",
            "GB82WEST12345698765432",
            "a" * 600,
        ]
    ),
    st.text(alphabet="0123456789 -.:/@ABEFabef=+()", max_size=24),
    st.text(max_size=6),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_all_together_give_what_a_search_with_re_place_by_place_gives(text):
    expected, counts = reference(text, ALL)

    result = scrubbed(text)

    assert result.texts.to_pylist() == [expected]
    assert result.counts == counts
    assert result.changed == (expected != text)


def test_every_value_is_replaced_by_its_tag_and_counted():
    texts = [f"before {value}, after" for value in VALUES.values()]

    result = scrubbed(*texts, "nothing here", "")

    assert result.texts.to_pylist() == [*(f"before [{name.upper()}], after" for name in VALUES), "nothing here", ""]
    assert result.counts == dict.fromkeys(VALUES, 1)
    assert result.changed == len(VALUES)


def test_only_the_scrubbers_asked_for_are_used():
    text = " ".join(VALUES.values())

    result = scrubbed(text, scrubbers=[SCRUBBERS.load("email")()])

    assert result.texts.to_pylist() == [text.replace(VALUES["email"], "[EMAIL]")]
    assert result.counts == {"email": 1}
    assert scrubbed(text, scrubbers=[]) == (pa.array([text]), {}, 0)


def test_texts_between_other_scripts_and_of_any_arrow_type_are_scrubbed():
    text = f"邮箱{VALUES['email']}\uff0c身份证{VALUES['chinese_id']}。"

    for kind in (pa.string(), pa.large_string()):
        result = scrubbed("x", text, "y", kind=kind)

        assert result.texts.type == kind
        assert result.texts.to_pylist() == ["x", "邮箱[EMAIL]\uff0c身份证[CHINESE_ID]。", "y"]
    assert scrub(pa.array(["skip", text]).slice(1), ALL).changed == 1


def test_the_order_in_which_scrubbers_are_listed_changes_nothing():
    text = "6228480402564890018 110105194912310021 62 4111111111111111 +86 138 0013 8000"

    assert scrubbed(text, scrubbers=ALL) == scrubbed(text, scrubbers=ALL[::-1])


def test_a_pseudonym_is_the_same_for_the_same_value_however_it_is_spelled():
    scrubbers = [SCRUBBERS.load(name)(replace="pseudonym") for name in ("email", "credit_card", "iban", "phone")]
    text = "a@b.org A@B.ORG c@b.org 4111111111111111 4111-1111-1111-1111 "
    text += "GB82WEST12345698765432 GB82 WEST 1234 5698 7654 32"

    first, second, other, card, card_again, iban, iban_again = (
        scrubbed(text, scrubbers=scrubbers, key=KEY).texts[0].as_py().split()
    )

    assert re.fullmatch(r"\[EMAIL_[0-9a-f]{8}\]", first)
    assert first == second != other
    assert card == card_again
    assert iban == iban_again
    assert scrubbed(text, scrubbers=scrubbers, key=KEY[::-1]).texts[0].as_py().split()[0] != first


def test_a_pseudonym_is_pinned():
    scrubbers = [SCRUBBERS.load("email")(replace="pseudonym")]

    assert scrubbed("a@b.org", scrubbers=scrubbers, key=KEY).texts.to_pylist() == ["[EMAIL_aff56d49]"]


@pytest.mark.parametrize("key", [None, b"", b"k" * 31])
def test_a_short_key_is_refused_and_not_shown(key):
    with pytest.raises(ValueError, match=f"at least 32 bytes is needed, this one has {len(key or b'')}") as error:
        scrubbed("a@b.org", scrubbers=[SCRUBBERS.load("email")(replace="pseudonym")], key=key)

    assert "kkk" not in str(error.value)


def test_a_tag_needs_no_key():
    assert scrubbed("a@b.org").texts.to_pylist() == ["[EMAIL]"]


def test_values_appear_in_nothing_that_comes_back(capfd, caplog):
    result = scrubbed(*(f"x {value} y" for value in VALUES.values()), key=KEY)

    said = repr(result) + str(result.counts) + capfd.readouterr().err + capfd.readouterr().out + caplog.text
    assert not [value for value in VALUES.values() if value in said]


def test_a_component_of_ones_own_can_take_the_value_from_a_group():
    class Ticket(Scrubber):
        """Ticket numbers."""

        def pattern(self):
            """A number behind a word."""
            return r"ticket (?:no )?(\d+)"

        def is_valid(self, value, before, after):
            """No zero, and a stop behind it."""
            return value != "0" and before.endswith(" ") and after.startswith(".")

    result = scrubbed("ticket no 17. ticket 0. ticket 5, ticket 9.", scrubbers=[Ticket()])

    tag = f"[{Ticket.name().upper()}]"
    assert result.texts.to_pylist() == [f"ticket no {tag}. ticket 0. ticket 5, ticket {tag}."]


@pytest.mark.parametrize(
    "text",
    [
        "a@" * 50_000,
        "a" * 100_000 + "@b.png",
        "1 " * 50_000,
        "4111-" * 20_000,
        "-----BEGIN PRIVATE KEY-----\n" * 5_000,
        "password=" * 10_000,
        "token = a" * 10_000,
        "eyJ" * 30_000,
        "2001:" * 20_000,
        "+1" * 50_000,
        "http://a:" * 10_000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_take_no_more_than_linear_time(text):
    import time

    start = time.process_time()
    scrubbed(text)

    assert time.process_time() - start < 2
