import bz2
import gzip
import lzma
import sys

import pytest
import zstandard
from bmtool.data.readers import unpack
from bmtool.data.readers.unpack import inner_suffix, open_bytes, packing
from bmtool.errors import DataError, MissingInputError

PACK = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def read(path, data):
    path.write_bytes(data)
    with open_bytes(path) as handle:
        return handle.read()


@pytest.mark.parametrize("kind", PACK)
def test_what_was_packed_comes_out_whatever_the_name_says(tmp_path, kind):
    content = bytes(range(256)) * 5000
    data = PACK[kind](content)

    assert packing(data) == kind
    assert read(tmp_path / "x.txt", data) == content
    assert read(tmp_path / "x.txt", data + PACK[kind](b"more")) == content + b"more"
    assert read(tmp_path / "x.txt", data + bytes(100)) == content


def test_a_zstd_file_may_begin_with_a_frame_that_is_passed_over(tmp_path):
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"

    assert read(tmp_path / "x.zst", skipped + PACK["zstd"](b"content")) == b"content"


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("damage", ["cut", "cut in the header", "changed", "followed by something else"])
def test_a_damaged_file_is_named(tmp_path, kind, damage):
    data = PACK[kind](bytes(range(256)) * 400)
    damaged = {
        "cut": data[:-5],
        "cut in the header": data[:7],
        "changed": data[:30] + b"\xff\0\xff\0\xff\0" + data[36:],
        "followed by something else": data + b"something else",
    }[damage]

    with pytest.raises(DataError) as error:
        read(tmp_path / "x", damaged)

    assert str(error.value).startswith(f"{tmp_path}/x: the {kind} stream is damaged or cut off (")


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_a_wrong_checksum_is_seen(tmp_path, kind):
    data = bytearray(PACK[kind](b"hello " * 1000))
    place = {"gzip": -6, "xz": -40, "bzip2": -3}[kind]
    data[place] ^= 0xFF

    with pytest.raises(DataError, match="is damaged or cut off"):
        read(tmp_path / "x", bytes(data))


def test_gzip_is_read_without_isal_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    data = gzip.compress(b"hello " * 1000)

    assert read(tmp_path / "x", data) == b"hello " * 1000
    with pytest.raises(DataError, match="the gzip stream is damaged or cut off"):
        read(tmp_path / "x", data[:-20])


@pytest.mark.parametrize("kind", PACK)
def test_a_bomb_is_stopped_at_the_limit(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(unpack, "BOMB_BYTES", 100_000)
    monkeypatch.setattr(unpack, "BOMB_FACTOR", 10)
    data = PACK[kind](bytes(1_000_000))

    with pytest.raises(DataError) as error:
        read(tmp_path / "x", data)

    assert f"unpacks from {len(data):,} to more than 100,000 bytes. The limit is" in str(error.value)


def test_what_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingInputError), open_bytes(tmp_path / "x"):
        pass


def test_the_inner_ending_says_what_a_packed_file_holds(tmp_path):
    assert [inner_suffix(tmp_path / name) for name in ("A.CSV.gz", "b.tar.jsonl", "c")] == [".csv", ".jsonl", "c"]
