"""`scripts/recount_ledger` agrees with `prepare` on packed, broken and several sources, and finds each lie."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool

SCRIPT = Path(__file__).parents[2] / "scripts" / "recount_ledger"

CONFIG = """\
version: 1
name: x
runtime: {workers: 1}
prepare:
  corpus:
    sources: [{type: jsonl, path: raw/one}, {path: raw/two/a.csv, columns: {text: content, who: author}}]
    columns: {text: body, who: who}
    clean: [unicode, whitespace]
    filters: [{type: length, min_chars: 12}, symbols]
    scrub: [email]
    deduplicate: [exact, near]
    split: {validation: 0.3, group: who}
    tokenizer: {type: wordpiece, vocab_size: 120}
"""

WORDS = ["river", "house", "green", "walks", "slowly", "under", "bright", "sun", "with", "many", "old", "friends"]


def text_of(n):
    kinds = (
        f"{' '.join(WORDS[n % 7 :])} {WORDS[n % 5]} {n}  by me{n}@home.org",
        f"这家餐厅的菜很好吃。服务也不错。环境安静。价格便宜。{n}",
        "cafe\u0301 \u200b" + " ".join(WORDS[n % 9 :]) + f"\r\n\r\n\r\n {n}",
        "*** ### {{}} == || ***",
        "tiny",
        " \u3000 ",
    )
    return kinds[n % len(kinds)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two sources, both with a file called a: JSON lines packed with zstd, some of them broken, and CSV."""
    folder = tmp_path_factory.mktemp("recount")
    (folder / "raw/one").mkdir(parents=True)
    (folder / "raw/two").mkdir()
    rows = [json.dumps({"body": text_of(n % 90), "who": f"u{n % 11}"}, ensure_ascii=False).encode() for n in range(120)]
    rows[7:7] = [b"{", b'{"body": "\xff"}', b"", b'{"who": "u1"}', b'{"body": 3, "who": "u1"}']
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(b"\n".join(rows))
    (folder / "raw/one/a.jsonl.zst").write_bytes(packed.getvalue().to_pybytes())
    lines = [f'"{text_of(n)}",u{n % 11}\r\n' for n in range(80, 130)]
    (folder / "raw/two/a.csv").write_text("content,author\n" + "".join(lines), newline="")
    (folder / "x.yaml").write_text(CONFIG)
    done = bmtool(folder, "prepare", "x.yaml")
    assert done.returncode == 0, done.stderr
    return folder


def recount(folder):
    artifact = (folder / "runs/x/prepare/corpus").resolve()
    return artifact, subprocess.run([sys.executable, SCRIPT, artifact], cwd=folder, capture_output=True, text=True)


def test_what_prepare_says_is_what_is_counted_again(folder):
    artifact, done = recount(folder)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("174 rows of 2 sources\n")
    dropped = json.loads((artifact / "report.json").read_text())["ledger"]["dropped"]
    assert min(dropped[reason] for reason in ("length", "symbols", "empty text", "duplicate", "broken JSON")) > 0


def test_each_number_that_is_another_is_named(folder):
    artifact, _ = recount(folder)
    path = artifact / "report.json"
    honest = path.read_text()
    report = json.loads(honest)
    report["ledger"]["rows_out"] += 1
    report["funnel"][2]["bytes"] += 1
    report["funnel"][-1]["words"] += 1
    report["rules"]["length"]["min_chars"]["words"] += 1
    report["sources"]["1"]["words"] += 1
    report["cleaned"]["unicode"] += 1
    report["tokens"]["train"] += 1
    report["text_bytes"]["validation"] += 1
    report["lengths"]["train"]["p90"] += 1

    try:
        path.write_text(json.dumps(report))
        _, done = recount(folder)
    finally:
        path.write_text(honest)

    named = {line.partition(":")[0].removeprefix("NOT  ") for line in done.stderr.splitlines()}
    assert done.returncode == 1
    assert named == {
        "rows out",
        "funnel",
        "rows, bytes and words at its end",
        "rows, bytes and words by rule",
        "source 1",
        "texts changed by cleaner",
        "tokens by split",
        "bytes by split",
        "lengths of train",
        "estimated tokens",
    }
