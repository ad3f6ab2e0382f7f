import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.data.readers import parquet_footer
from bmtool.data.readers.parquet_footer import chunks_of, dictionary_bytes
from bmtool.errors import DataError


@pytest.mark.parametrize("version", ["1.0", "2.6"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_the_footer_says_what_pyarrow_says(tmp_path, version, compression):
    path = tmp_path / "x.parquet"
    columns = {"text": [f"text {n}" for n in range(700)], "tags": [["a", "b"], []] * 350, "n": list(range(700))}
    pq.write_table(pa.table(columns), path, row_group_size=40, version=version, compression=compression)

    chunks = chunks_of(path)

    metadata = pq.read_metadata(path)
    expected = []
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            sizes = (chunk.total_uncompressed_size, chunk.total_compressed_size)
            start = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
            expected.append(
                (group, metadata.row_group(group).num_rows, chunk.path_in_schema.split(".")[0], *sizes, start)
            )
    assert chunks == expected
    assert len(chunks) == 18 * 3


def test_the_size_of_a_dictionary_is_that_of_its_values(tmp_path):
    path = tmp_path / "x.parquet"
    columns = {"text": ["x" * 10_000] * 500, "plain": [f"text {n}" for n in range(500)]}
    pq.write_table(pa.table(columns), path, use_dictionary=["text"], compression="zstd")

    text, plain = chunks_of(path)

    assert dictionary_bytes(path, text.start) == 10_004
    assert dictionary_bytes(path, plain.start) == 0
    assert dictionary_bytes(path, 10**9) == 0


def test_what_is_no_footer_is_named(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["a"] * 10}), path)
    data = path.read_bytes()

    length = int.from_bytes(data[-8:-4], "little")
    replaced = data[: -8 - length] + b"\xff" * length + data[-8:]

    for damaged in (b"", b"PAR1", data[:-1], data[:-8] + b"\xff\xff\xff\x7fPAR1", replaced):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="its footer is damaged"):
            chunks_of(path)
    path.write_bytes(data)
    monkeypatch.setattr(parquet_footer, "MAX_FOOTER_BYTES", 100)
    with pytest.raises(DataError, match=r"the footer has [0-9]+ bytes. The limit is 100"):
        parquet_footer._chunks_of.__wrapped__(path, len(data), 0)


FLIP = """
import sys
from pathlib import Path
from bmtool.contracts import Reading
from bmtool.data.rows import schema_of
from bmtool.errors import DataError
from bmtool.sources.parquet import Parquet

path, outcomes = Path(sys.argv[1]), {"rows": 0, "DataError": 0}
good = path.read_bytes()
for place in range(len(good) - 600, len(good)):
    path.write_bytes(good[:place] + bytes([good[place] ^ 0x15]) + good[place + 1:])
    source = Parquet(path=str(path))
    try:
        for name, found in source.files():
            for piece in source.pieces(name, found, ""):
                list(source.read(piece, Reading({}, schema_of({"text": "text", "label": "label"}), lambda one: None)))
        outcomes["rows"] += 1
    except DataError:
        outcomes["DataError"] += 1
print(outcomes["rows"] > 0, outcomes["DataError"] > 300)
"""


def test_no_byte_of_the_footer_brings_the_process_down(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["some text"] * 50, "label": list(range(50))}), path, row_group_size=30)

    done = subprocess.run([sys.executable, "-c", FLIP, str(path)], capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout.strip()) == (0, "True True"), done.stderr
