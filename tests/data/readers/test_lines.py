import gzip
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from bmtool.data.readers import lines
from bmtool.data.readers.lines import bytes_of, cut_lines
from bmtool.errors import TryAgainError
from bmtool.sources.text import Text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_file


@pytest.fixture
def small(monkeypatch):
    """Pieces of 50 bytes and lines of at most 200."""
    monkeypatch.setattr(lines, "PIECE_BYTES", 50)
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 200)


def cut(path, content, **options):
    path.write_bytes(content)
    return list(cut_lines("x", path, **options))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=150).map(lambda line: line.replace(b"\n", b"")), max_size=12), st.booleans())
def test_pieces_are_the_whole_file_in_whole_lines(tmp_path, small, rows, has_end):
    content = b"x" + b"\n".join(rows) + b"\n" * has_end  # an x, so that it looks like nothing else

    pieces = cut(tmp_path / "x", content)

    data = [bytes_of(piece) for piece in pieces]
    assert b"".join(data) == content
    assert all(one.endswith(b"\n") for one in data[:-1])
    assert all(len(one) <= 50 or one.count(b"\n", 0, -1) == 0 for one in data)
    assert [piece.size for piece in pieces] == [len(one) for one in data]
    assert [piece.first for piece in pieces[:1]] == [1]
    assert all(b.first == a.first + one.count(b"\n") for (a, b), one in zip(pairwise(pieces), data, strict=False))


def test_rows_that_are_appended_leave_all_pieces_but_the_last_as_they_are(tmp_path, small):
    content = b"".join(b"line number %d\n" % number for number in range(30))

    before = [piece.key for piece in cut(tmp_path / "x", content)]
    after = [piece.key for piece in cut(tmp_path / "x", content + b"one\ntwo\n" * 20)]

    assert len(after) > len(before) > 3
    assert after[: len(before) - 1] == before[:-1]


def test_a_piece_is_known_by_its_bytes_wherever_they_lie(tmp_path, small):
    plain = cut(tmp_path / "x", b"a\nb\n" * 40)
    packed = cut(tmp_path / "y", gzip.compress(b"a\nb\n" * 40))
    with_mark = cut(tmp_path / "z", b"\xef\xbb\xbf" + b"a\nb\n" * 40)
    other = cut(tmp_path / "w", b"a\nB\n" * 40)

    assert [bytes_of(one) for one in plain] == [one.data for one in packed]
    assert [_known(one) for one in plain] == [_known(one) for one in packed]
    assert [one.key for one in with_mark] == [one.key for one in plain]
    assert {one.key for one in plain}.isdisjoint(one.key for one in other)


def _known(piece):
    return piece.key, piece.size, piece.first


def test_of_a_plain_file_only_the_places_are_kept_and_another_content_is_refused(tmp_path, small):
    first, second, *_ = cut(tmp_path / "x", b"\xef\xbb\xbf" + b"a line\n" * 40)

    assert (first.data, second.data) == (None, None)
    assert (first.span, second.span) == ((3, 52), (52, 101))
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf" + b"a line\n" * 8 + b"A LINE\n" * 32)
    assert bytes_of(first) == b"a line\n" * 7
    with pytest.raises(TryAgainError, match=r"x: the file changed while it was read\. Run the command again"):
        bytes_of(second)


def test_of_an_endless_line_little_is_kept_and_the_numbers_go_on(tmp_path, small):
    pieces = cut(tmp_path / "x", b"one\n" + b"x" * 5000 + b"\n" + b"three\n")

    assert [(piece.first, len(bytes_of(piece))) for piece in pieces] == [(1, 4), (2, 201), (3, 6)]


def test_a_paragraph_is_never_cut(tmp_path, small):
    content = b"one\ntwo\n \t\nthree\n" + b"four\n" * 20 + b"\n\n" + b"five\n" * 10

    pieces = cut(tmp_path / "x", content, by_paragraph=True)

    assert b"".join(map(bytes_of, pieces)) == content
    assert [piece.first for piece in pieces] == [1, 4, 26]
    assert [bytes_of(piece)[:4] for piece in pieces] == [b"one\n", b"thre", b"\nfiv"]


def test_of_an_endless_paragraph_little_is_kept_and_the_numbers_go_on(tmp_path, small):
    pieces = cut(tmp_path / "x", b"one\n\n" + b"two\n" * 500 + b"\nthree\n", by_paragraph=True)

    assert [(piece.first, len(bytes_of(piece))) for piece in pieces] == [(1, 5), (3, 201), (504, 6)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(st.text(alphabet="ab \t\n\r", max_size=300))
def test_paragraphs_are_the_same_however_the_file_is_cut(tmp_path, text):
    path = tmp_path / "x.txt"
    path.write_bytes(text.encode())
    source, kinds = Text(path=str(path), rows="paragraphs"), {"text": "text"}
    whole = read_file(source, kinds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", 20)
        in_pieces = read_file(source, kinds)

    assert in_pieces == whole
    written = [line for line in text.split("\n") if line.strip()]
    assert sum(row["text"].count("\n") + 1 for row in whole[0].values()) == len(written)
