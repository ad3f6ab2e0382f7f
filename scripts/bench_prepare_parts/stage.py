"""Runs the whole of `bmtool prepare`: from cold and warm, two workers, memory, up to date, a few more rows.

Each run is `bmtool prepare FILE --json` in a folder of its own with its own store. Two configurations: `default` has
the filters' published thresholds; `lenient` measures as much but drops nothing, so that later steps see all the text.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import random
import shutil
from typing import TYPE_CHECKING, Any

from bench_prepare_parts import corpus
from bench_prepare_parts.measure import Spent, run

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace as Bench

SCRUBBERS = ("email", "phone", "ip", "credit_card", "iban", "chinese_id", "secret")
#: The four filters with limits that nothing breaks; what is measured is the same.
LENIENT = {
    "gopher_repetition": dict.fromkeys(
        [f"dup_{part}" for part in ("para_frac", "para_char_frac", "line_frac", "line_char_frac")]
        + [f"top_{n}_gram" for n in (2, 3, 4)]
        + [f"duplicated_{n}_n_grams" for n in range(5, 11)],
        1,
    ),
    "gopher_quality": {
        "min_doc_words": 0,
        "max_doc_words": 1_000_000_000,
        "min_avg_word_length": 0,
        "max_avg_word_length": 1_000_000_000,
        "max_symbol_word_ratio": 1,
        "max_bullet_lines_ratio": 1,
        "max_ellipsis_lines_ratio": 1,
        "max_non_alpha_words_ratio": 0,
        "min_stop_words": 0,
    },
    "c4": {"min_num_sentences": 0, "filter_lorem_ipsum": False, "filter_curly_bracket": False},
    "fineweb": {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1, "new_line_ratio": 1_000_000_000},
}


def config(
    folder: Path, sources: str | list[str], *, is_lenient: bool, tokenizer: dict[str, Any], workers: int
) -> Path:
    """Write bench.yaml into `folder`; YAML holds JSON."""
    filters = [{"type": name, **(limits if is_lenient else {})} for name, limits in LENIENT.items()]
    document = {
        "version": 1,
        "name": "bench",
        "runtime": {"workers": workers},
        "prepare": {
            "corpus": {
                "sources": sources,
                "clean": ["unicode", "whitespace"],
                "filters": filters,
                "scrub": list(SCRUBBERS),
                "deduplicate": ["exact", "near"],
                "split": {"validation": 0.02},
                "tokenizer": tokenizer,
            }
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench.yaml"
    path.write_text(json.dumps(document, indent=1))
    return path


class Prepared:
    """What one run took and where its dataset is."""

    def __init__(self, spent: Spent, result: dict[str, Any], folder: Path) -> None:
        self.spent = spent
        self.artifact = (folder / result["artifact"]).resolve()
        self.report = json.loads((self.artifact / "report.json").read_text())
        self.status = result["status"]


def prepare(bench: Bench, folder: Path, *words: str, cores: int = 1, watch: bool = False) -> Prepared:
    command = [bench.python.with_name("bmtool"), "prepare", "bench.yaml", "--json", *words]
    log = folder / "prepare.log"
    spent = run(command, log, cores=cores, watch=watch, cwd=folder)
    text = log.read_text()
    return Prepared(spent, json.loads(text[text.index("\n{") + 1 if "\n{" in text else 0 :])["results"][-1], folder)


def train_tokenizers(python: Path, source: Path, work: Path) -> list[Path]:
    """A WordPiece and a BPE tokenizer of 16k tokens, learned by bmtool from the first shard, once."""
    program = (
        "import json,sys\n"
        "from bmtool.tokenizers.bpe import Bpe\n"
        "from bmtool.tokenizers.wordpiece import Wordpiece\n"
        "texts=[json.loads(line)['text'] for line in open(sys.argv[1])]\n"
        "for name, kind in (('wordpiece', Wordpiece), ('bpe', Bpe)):\n"
        "    kind(vocab_size=16384).train(texts).save(f'{sys.argv[2]}/{name}.json')\n"
    )
    paths = [work / "wordpiece.json", work / "bpe.json"]
    if not all(path.exists() for path in paths):
        run([python, "-c", program, min(source.glob("*.jsonl")), work], work / "tokenizers.log")
    return paths


def taken_over(work: Path, path: Path) -> dict[str, str]:
    """`tokenizer: {from: FOLDER}` for a tokenizer.json by another name."""
    folder = work / f"tokenizer-{path.stem}"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / "tokenizer.json")
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": "[MASK]", **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return {"from": f"{folder}/"}


def packed(bench: Bench, name: str, *, night: int, texts: Path | None = None) -> str:
    """The corpus, or other texts, as .jsonl.gz with another column: other bytes, so that nothing kept is taken up."""
    folder = bench.work / name
    for path in sorted((texts or bench.folder / "corpus").glob("*.jsonl")):
        target = folder / f"{path.name}.gz"
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            lines = path.read_text().splitlines()
            data = "".join(f'{{"night": {night}, {line[1:]}\n' for line in lines).encode()
            target.write_bytes(gzip.compress(data, 6, mtime=0))
    return f"{folder}/*.jsonl.gz"


def warm_up(bench: Bench, tokenizer: dict[str, str]) -> None:
    """Have everything compiled: runs over a few rows, and over a few more of them, not counted."""
    folder = bench.fresh("warm-up")
    folder.mkdir(parents=True)
    with min((bench.folder / "corpus").glob("*.jsonl")).open() as lines:
        many, few, more = ("".join(itertools.islice(lines, count)) for count in (6000, 20, 20))
    (folder / "many.jsonl").write_text(many)
    (folder / "few-1.jsonl").write_text(few)
    sources = ["many.jsonl", "few-*.jsonl"]  # the parts of the first stay as they are when more rows come
    for is_lenient in (False, True):
        config(folder, sources, is_lenient=is_lenient, tokenizer=tokenizer, workers=1)
        prepare(bench, folder)
    (folder / "few-2.jsonl").write_text(more)
    prepare(bench, folder)


def whole(bench: Bench, tokenizers: list[Path], megabytes: float) -> None:
    """From an empty store; then other files with the same texts in the same store: the memos are filled."""
    tokenizer = taken_over(bench.work, tokenizers[0])
    warm_up(bench, tokenizer)
    for _ in range(bench.rounds):
        for kind in ("lenient", "default"):
            folder = bench.fresh(f"stage-{kind}")
            for state, night in (("cold", 1), ("warm", 2)):
                sources = packed(bench, f"night-{night}", night=night)
                config(folder, sources, is_lenient=kind == "lenient", tokenizer=tokenizer, workers=1)
                done = prepare(bench, folder)
                bench.note(f"stage {kind} {state}", megabytes / done.spent.cpu)
            sizes = {step["step"]: step.get("bytes", 0) / megabytes / 1e6 for step in done.report["funnel"]}
            bench.shares[kind] = (sizes["fineweb"], sizes["near duplicate"])


def workers(bench: Bench, tokenizers: list[Path], megabytes: float) -> None:
    """Wall time with one process and with two, in turns; meaningful only on a machine with nothing else to do."""
    tokenizer = taken_over(bench.work, tokenizers[0])
    warm_up(bench, tokenizer)
    plain, texts = enlarge(bench, 1000, "texts-1000"), bench.work / "texts-1000"
    total = float((texts / "done").read_text())
    for size, sources, amount in (
        ("packed", packed(bench, "night-1", night=1), megabytes),
        ("1 GB plain", plain, total),
        ("1 GB packed", packed(bench, "texts-1000-packed", night=1, texts=texts), total),
    ):
        trees = set()
        for _ in range(bench.rounds):
            for count in (1, 2):
                folder = bench.fresh(f"workers-{count}")
                config(folder, sources, is_lenient=True, tokenizer=tokenizer, workers=count)
                done = prepare(bench, folder, cores=count)
                bench.note(f"workers {count} {size} wall", amount / done.spent.wall)
                bench.note(f"workers {count} {size} cpu", amount / done.spent.cpu)
                trees.add(digest(done.artifact))
        bench.notes[f"workers {size}"] = "the same bytes" if len(trees) == 1 else "OTHER BYTES"


def digest(artifact: Path) -> str:
    """One hash over the names and bytes of the splits and of dropped.arrow."""
    total = hashlib.sha256()
    for path in sorted(artifact.rglob("*")):
        if path.suffix == ".arrow" or path.name in {"tokenizer.json", "rejected.jsonl"}:
            total.update(str(path.relative_to(artifact)).encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def enlarge(bench: Bench, megabytes: float, name: str) -> str:
    """The corpus, then copies of it with three words of ten changed, until there are `megabytes` of text."""
    folder = bench.work / name
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        random_ = random.Random(1)
        size, copy, vocabulary = 0.0, 0, ["word"]
        while size < megabytes * 1e6:
            for path in sorted((bench.folder / "corpus").glob("*.jsonl")):
                if size >= megabytes * 1e6:
                    break
                rows = [json.loads(line) for line in path.read_text().splitlines()]
                if copy:
                    for row in rows:
                        row["text"] = corpus.near_copy(row["text"], 0.3, vocabulary, random_)[0]
                else:
                    vocabulary += [word for row in rows[::50] for word in row["text"].split()[:50]]
                size += sum(len(row["text"].encode()) for row in rows)
                corpus.write_lines(folder / f"copy-{copy:02d}-{path.name}", rows)
            copy += 1
        (folder / "done").write_text(f"{size / 1e6:.1f}")
    return f"{folder}/*.jsonl"


def memory(bench: Bench, tokenizers: list[Path], megabytes: float) -> None:
    """The largest sum over all processes, sampled ten times a second, at 100 MB and at 1 GB of text."""
    del megabytes
    tokenizer = taken_over(bench.work, tokenizers[0])
    warm_up(bench, tokenizer)
    for count in (1, 2):
        for size in (100, 1000):
            folder = bench.fresh(f"memory-{size}")
            sources = enlarge(bench, size, f"texts-{size}")
            config(folder, sources, is_lenient=True, tokenizer=tokenizer, workers=count)
            done = prepare(bench, folder, cores=count, watch=True)
            bench.note(f"memory {size} MB, {count} workers: all processes", done.spent.tree_mb)
            bench.note(f"memory {size} MB, {count} workers: largest", done.spent.peak_mb)


def again(bench: Bench, tokenizers: list[Path], megabytes: float) -> None:
    """1 GB: made once, asked again unchanged, then with 1 % more rows in a new file; compared with a full rebuild."""
    del megabytes
    tokenizer = taken_over(bench.work, tokenizers[0])
    warm_up(bench, tokenizer)
    folder = bench.fresh("again")
    texts = bench.fresh("again-texts")
    enlarge(bench, 1000, "texts-1000")
    texts.mkdir()
    for path in (bench.work / "texts-1000").glob("*.jsonl"):
        (texts / path.name).hardlink_to(path)
    config(folder, f"{texts}/*.jsonl", is_lenient=True, tokenizer=tokenizer, workers=1)
    full = prepare(bench, folder)
    bench.note("again full, CPU s", full.spent.cpu)
    same = prepare(bench, folder)
    bench.note("again unchanged, CPU s", same.spent.cpu)
    assert same.status == "up_to_date", same.status
    lines = (bench.folder / "heldout.jsonl").read_text().splitlines(keepends=True)
    (texts / "new.jsonl").write_text("".join(lines[: len(lines) // 6]))
    more = prepare(bench, folder)
    bench.note("again 1 % more, CPU s", more.spent.cpu)
    rebuilt = bench.fresh("again-rebuilt")
    config(rebuilt, f"{texts}/*.jsonl", is_lenient=True, tokenizer=tokenizer, workers=1)
    is_same = digest(more.artifact) == digest(prepare(bench, rebuilt).artifact)
    bench.notes["again bytes"] = "the same bytes as a full rebuild" if is_same else "OTHER BYTES than a full rebuild"
