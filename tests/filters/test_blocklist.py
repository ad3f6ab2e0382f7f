import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate, what
from bmtool.data.text.documents import Documents
from bmtool.data.text.phrases import listed_words
from bmtool.errors import DataError, MissingInputError
from bmtool.filters.blocklist import Blocklist
from hypothesis import given, settings
from hypothesis import strategies as st


def ratios(judge, *texts):
    """The measured ratio of those that go, None for those that stay."""
    verdict = judge.judge(Documents(pa.array(texts, pa.string())))
    return [round(value, 3) if rule >= 0 else None for rule, value in zip(verdict.rule, verdict.value, strict=True)]


def test_whole_words_count_in_capitals_or_not():
    judge = Blocklist(words=("bad", "ÜBEL"))

    assert ratios(judge, "a BAD word", "badly", "übel und gut", "bad-tempered", "nothing", "") == [
        0.333,
        None,
        0.333,
        0.5,
        None,
        None,
    ]


def test_a_phrase_is_found_whatever_stands_between_its_words():
    judge = Blocklist(words=("very bad thing", "very bad"))

    assert ratios(judge, "Very,\nbad thing!", "very good bad thing", "a very bad day", "thing very") == [
        1,
        None,
        0.5,
        None,
    ]


def test_words_of_scripts_without_spaces_are_phrases_of_characters():
    judge = Blocklist(words=("赌博", "ギャンブル"))

    assert ratios(judge, "网上赌博很危险", "赌气", "ギャンブルです", "ギャン") == [
        round(2 / 7, 3),
        None,
        round(5 / 7, 3),
        None,
    ]


def test_a_share_can_be_allowed():
    judge = Blocklist(words=("x",), max_ratio=0.25)

    assert ratios(judge, "x a b c", "x x a b c d", "x a") == [None, 0.333, 0.5]


def test_a_file_and_words_go_together(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# comment\n\nfirst phrase\n  second  \n", encoding="utf-8")
    judge = Blocklist(file=str(path), words=("third",))

    assert ratios(judge, "the first phrase", "second", "third", "comment") == [0.667, 1, 1, None]
    assert judge.files() == [("list.txt", path)]
    assert what(judge) == {"type": "blocklist", "words": ["third"]}
    assert Blocklist(words=("x",)).files() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# nothing\n", "there is no word in it. Write one word or phrase a line"),
        (b"a\n---\n", "there is neither letter nor digit in the line"),
        (b"\xff\xfe", "it isn't UTF-8"),
    ],
)
def test_a_list_that_makes_no_sense_is_an_error(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content)

    with pytest.raises(DataError, match=message):
        ratios(Blocklist(file=str(path)), "a")


def test_a_list_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(MissingInputError, match=r"none\.txt isn't a file"):
        Blocklist(file=str(tmp_path / "none.txt")).files()


@pytest.mark.parametrize(
    "settings_", [{}, {"words": []}, {"words": [""]}, {"words": ["--"]}, {"words": ["a"], "max_ratio": 1.0}]
)
def test_a_list_without_words_is_refused(settings_):
    with pytest.raises(ValidationError):
        validate(Blocklist, settings_)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map(tuple), min_size=1, max_size=5),
    st.lists(st.sampled_from("abcde"), max_size=20),
)
def test_the_first_and_longest_phrases_count(phrases, words):
    expected = place = 0
    while place < len(words):
        longest = max([len(p) for p in phrases if tuple(words[place : place + len(p)]) == p], default=0)
        expected += longest
        place += max(longest, 1)

    listed, total = listed_words(Documents(pa.array([" ".join(words)])), tuple(" ".join(p) for p in phrases))

    assert (listed[0], total[0]) == (expected, len(words))
