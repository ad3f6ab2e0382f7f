"""Units end where their pieces say, are known by all that decides what comes out, and cuts are remembered."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.artifacts.files import stamp_of
from bmtool.cleaners.whitespace import Whitespace
from bmtool.contracts import Piece
from bmtool.data.passes import units
from bmtool.data.passes.cuts import Cuts
from bmtool.data.passes.units import RowRules, units_of
from bmtool.data.readers import lines
from bmtool.errors import DataError, TryAgainError
from bmtool.filters.length import Length
from bmtool.sources.csv import Csv
from bmtool.sources.jsonl import Jsonl
from bmtool.sources.parquet import Parquet

SOURCE = Jsonl(path="x.jsonl")
RULES = RowRules(sources=[SOURCE], columns={"text": "body"}, kinds={"text": "text"})


def piece(number, size=10, file="x.jsonl"):
    return Piece(file, Path(file), f"key {number}", size, first=number)


def cut(pieces, rules=RULES, source=0):
    by_file = {}
    for one in pieces:
        by_file.setdefault(one.file, []).append(one)
    files = [(name, Path(name)) for name in by_file]
    return list(units_of(rules, source, files, lambda name, _: by_file[name]))


@pytest.fixture
def sizes(monkeypatch):
    monkeypatch.setattr(units, "UNIT_BYTES", 100)
    monkeypatch.setattr(units, "EARLY_BYTES", 50)


def test_every_piece_is_in_one_unit_and_in_order(sizes):
    pieces = [piece(n, size=(7 * n) % 60) for n in range(200)]

    found = cut(pieces)

    assert [one for unit in found for one in unit.pieces] == pieces
    assert all(unit.size <= 100 or len(unit.pieces) == 1 for unit in found)
    assert all(unit.size >= 50 for unit in found[:-1] if len(unit.pieces) > 1 and unit.size + 60 <= 100)
    assert len({unit.key for unit in found}) == len(found)


def test_a_piece_as_large_as_a_unit_is_one(sizes):
    found = cut([piece(0), piece(1, size=100), piece(2, size=300), piece(3)])

    assert [[one.first for one in unit.pieces] for unit in found] == [[0], [1], [2], [3]]


def test_no_pieces_are_no_units():
    assert cut([]) == []


def test_a_new_piece_in_front_moves_few_borders(sizes):
    pieces = [piece(n, size=10 + n % 7) for n in range(1, 400)]

    before, after = ({unit.key for unit in cut(some)} for some in (pieces, [piece(0), *pieces]))

    assert len(after - before) < len(after) / 4


CHANGES = {
    "columns": {"columns": {"text": "title"}},
    "kinds": {"kinds": {"text": "text", "label": "label"}},
    "cleaners": {"cleaners": [Whitespace()]},
    "filters": {"filters": [Length()]},
    "another threshold": {"filters": [Length(min_chars=7)]},
    "labels": {"labels": ("a", "b")},
    "hashed": {"is_hashed": True},
    "sketched": {"is_sketched": True},
    "another file": {"extra": {"words.txt": "sha"}},
    "a key": {"scrub_key": b"x" * 32},
    "another key": {"scrub_key": b"y" * 32},
    "weight": {"sources": [Jsonl(path="x.jsonl", weight=0.5)]},
    "another type": {"sources": [Csv(path="x.jsonl")]},
    "own columns": {"sources": [Jsonl(path="x.jsonl", columns={"text": "other"})]},
}


def with_(**changes):
    return RowRules(**{"sources": RULES.sources, "columns": RULES.columns, "kinds": RULES.kinds, **changes})


def test_all_that_decides_what_comes_out_is_in_the_key():
    keys = [cut([piece(1)], rules)[0].key for rules in (RULES, *(with_(**one) for one in CHANGES.values()))]

    assert len(set(keys)) == len(CHANGES) + 1


@pytest.mark.parametrize(
    "other", [piece(2), piece(1, file="y.jsonl"), Piece("x.jsonl", Path("x"), "key 1", 10, first=2)]
)
def test_content_name_and_place_are_in_the_key(other):
    assert cut([other])[0].key != cut([piece(1)])[0].key


def test_where_a_file_lies_and_which_source_it_is_are_not_in_the_key():
    moved = Piece("x.jsonl", Path("/elsewhere/x.jsonl"), "key 1", 10, first=1, data=b"{}")
    two = with_(sources=[Csv(path="a.csv"), Jsonl(path="elsewhere")])

    assert cut([moved])[0].key == cut([piece(1)], two, source=1)[0].key == cut([piece(1)])[0].key


def test_a_secret_key_is_not_shown():
    rules = with_(scrub_key=b"very secret indeed, and 32 bytes")

    assert "secret indeed" not in repr(rules) + repr(rules.identity(0))


def test_a_default_that_a_later_version_changes_is_another_key(monkeypatch):
    one = with_(filters=[Length()]).identity(0)["filters"]

    assert {"type": "length", **Length().model_dump()} == one[0]


# ---------------------------------------------------------------- where files are cut


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "PIECE_BYTES", 40)
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress("".join(f'{{"text": "number {n}"}}\n' for n in range(9)).encode()))
    return path


def pieces_of(cuts, file, sha="sha"):
    return list(cuts.pieces("x.jsonl", file, sha))


def test_a_file_is_cut_once_and_its_pieces_are_filled_when_they_are_needed(file, tmp_path, monkeypatch):
    cuts = Cuts(SOURCE, tmp_path / "cuts", is_fresh=False)
    whole = pieces_of(cuts, file)

    again = Cuts(SOURCE, tmp_path / "cuts", is_fresh=False)
    known = pieces_of(again, file)
    filled = [again.filled(one, "sha") for one in known[2:5]]

    assert len(whole) > 5
    assert [one.data for one in known] == [None] * len(whole)
    assert [(one.key, one.size, one.first, one.part) for one in known] == [
        (one.key, one.size, one.first, one.part) for one in whole
    ]
    assert filled == whole[2:5]


def test_with_force_a_file_is_cut_again(file, tmp_path):
    pieces_of(Cuts(SOURCE, tmp_path / "cuts", is_fresh=False), file)

    forced = pieces_of(Cuts(SOURCE, tmp_path / "cuts", is_fresh=True), file)

    assert all(one.data for one in forced)


def test_a_damaged_note_is_not_read(file, tmp_path):
    pieces_of(Cuts(SOURCE, tmp_path / "cuts", is_fresh=False), file)
    [note] = (tmp_path / "cuts").iterdir()
    note.write_text(note.read_text().replace('"first": 1', '"first": 2'))

    again = pieces_of(Cuts(SOURCE, tmp_path / "cuts", is_fresh=False), file)

    assert again[0].data is not None
    assert again[0].first == 1


def test_a_file_that_changed_after_it_was_cut_is_said_and_cut_anew(file, tmp_path):
    pieces_of(Cuts(SOURCE, tmp_path / "cuts", is_fresh=False), file)
    cuts = Cuts(SOURCE, tmp_path / "cuts", is_fresh=False)
    known = pieces_of(cuts, file)
    file.write_bytes(gzip.compress(b'{"text": "another"}\n'))

    with pytest.raises(TryAgainError) as error:
        cuts.filled(known[1], "sha")

    assert str(error.value) == f"{file}: the file changed while it was read. Run the command again"
    assert list((tmp_path / "cuts").iterdir()) == []


def test_pieces_of_a_plain_file_are_remembered_by_their_places(file, tmp_path):
    plain = tmp_path / "x.jsonl"
    plain.write_bytes(gzip.decompress(file.read_bytes()))
    cuts = Cuts(SOURCE, tmp_path / "cuts", is_fresh=False)
    whole = pieces_of(cuts, plain)

    known = pieces_of(Cuts(SOURCE, tmp_path / "cuts", is_fresh=False), plain)

    assert len(whole) > 5
    assert known == whole
    assert cuts.filled(known[1], "sha") is known[1]


def test_a_source_that_is_read_by_its_path_needs_no_filling(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    cuts = Cuts(Parquet(path="x.parquet"), tmp_path / "cuts", is_fresh=False)

    first = list(cuts.pieces("x.parquet", path, "sha"))
    known = list(cuts.pieces("x.parquet", path, "sha"))

    assert first == known
    assert cuts.filled(known[0], "sha") is known[0]


def test_a_file_that_changed_before_it_was_cut_is_not_remembered_as_what_it_was(file, tmp_path):
    plain = tmp_path / "x.jsonl"
    plain.write_bytes(gzip.decompress(file.read_bytes()))
    stamp = stamp_of(plain)
    plain.write_text('{"text": "another"}\n')

    with pytest.raises(TryAgainError) as error:
        list(Cuts(SOURCE, tmp_path / "cuts", is_fresh=False).pieces("x.jsonl", plain, "sha", stamp))

    assert str(error.value) == f"{plain}: the file changed while it was read. Run the command again"
    assert not (tmp_path / "cuts").exists()


def test_without_a_folder_nothing_is_remembered(file):
    cuts = Cuts(SOURCE, None, is_fresh=False)
    whole = pieces_of(cuts, file)

    file.write_bytes(gzip.compress(b'{"text": "another"}\n'))

    assert [one.key for one in pieces_of(cuts, file)] != [one.key for one in whole]


def test_a_file_that_seems_damaged_since_it_was_replaced_is_read_again(file, tmp_path):
    stamp = stamp_of(file)
    file.write_bytes(file.read_bytes()[:30])
    cuts = Cuts(SOURCE, tmp_path / "cuts", is_fresh=False)

    with pytest.raises(TryAgainError, match="the file changed while it was read"):
        list(cuts.pieces("x.jsonl", file, "sha", stamp))
    with pytest.raises(DataError, match="its end is missing"):
        list(cuts.pieces("x.jsonl", file, "sha", stamp_of(file)))
    file.unlink()
    with pytest.raises(TryAgainError, match="the file changed while it was read"):
        list(cuts.pieces("x.jsonl", file, "sha", stamp))
