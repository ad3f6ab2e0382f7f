"""Runs one part of bmtool's data preparation over JSON lines, and prints what each lap took as JSON lines.

    ours.py near|filters|encode|scrub FOLDER_OR_FILE OUT [TOKENIZER]

A lap is {"lap", "mb", "cpu"}: its name, MB of UTF-8 text, and CPU seconds of the process. `setup`, the imports and
the load of compiled code, is a lap by itself: everything runs once over a few rows first.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pyarrow as pa
from bmtool.contracts import LINE, Reading
from bmtool.data.rows import schema_of
from bmtool.data.text.documents import Documents, text_buffers
from bmtool.sources.jsonl import Jsonl

pa.set_cpu_count(1)
FILTERS = ("gopher_repetition", "gopher_quality", "c4", "fineweb")


def fail(rejected: object) -> None:
    raise AssertionError(f"a row of the corpus was rejected: {rejected}")


def read(source: Path, *, most: int | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of `id` and `text`, as `prepare` reads them; with `most`, only so many rows."""
    jsonl = Jsonl(path=str(source))
    for name, path in jsonl.files():
        for piece in jsonl.pieces(name, path, ""):
            for batch in jsonl.read(piece, Reading({}, schema_of({"text": "text", "id": "extra"}), fail)):
                if most is not None:
                    yield batch.slice(0, most)
                    return
                yield batch.drop_columns([LINE])


class Laps:
    """Prints what was spent since the last lap."""

    def __init__(self) -> None:
        self.since = 0.0

    def __call__(self, name: str, megabytes: float = 0.0, **more: object) -> None:
        now = time.process_time()
        print(json.dumps({"lap": name, "mb": megabytes, "cpu": now - self.since, **more}), flush=True)
        self.since = time.process_time()


def megabytes(texts: pa.Array) -> float:
    return len(text_buffers(texts)[0]) / 1e6


class Mapped:
    """Sketches of a unit, mapped each time they are needed."""

    def __init__(self, path: Path, rows: int) -> None:
        self.path, self.rows = path, rows

    def __len__(self) -> int:
        return self.rows

    def load(self) -> np.ndarray:
        from bmtool.data.similarity.fingerprints import VALUES

        return np.memmap(self.path, np.uint16, "r", shape=(self.rows, VALUES))


def near(source: Path, out: Path, laps: Laps) -> None:
    """Exact and similar copies: read, hash, sketch, keep the rows on disk, pair, decide, write what stays."""
    out.mkdir()
    find_near(read(source, most=200), out / "few")
    laps("setup")
    total, kept_ids = find_near(read(source), out / "all")
    laps("near", total, peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    (out / "kept.txt").write_text("\n".join(kept_ids))


def find_near(batches: Iterator[pa.RecordBatch], out: Path) -> tuple[float, list[str]]:
    """(MB read, ids of the rows that stay), which are written to `out`."""
    from bmtool.data.similarity.fingerprints import sketch, text_hashes
    from bmtool.data.similarity.similar import find_pairs, keep_first

    out.mkdir()
    hashes, starts, units, total, rows = [], [0], [], 0.0, 0
    schema = pa.schema([pa.field("text", pa.string()), pa.field("id", pa.string())])
    with pa.OSFile(str(out / "rows.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for number, batch in enumerate(batches):
            texts = batch.column("text")
            hashes.append(text_hashes(texts))
            sketches, _ = sketch(*text_buffers(texts))
            path = out / f"sketches-{number}"
            sketches.tofile(path)
            units.append(Mapped(path, len(texts)))
            writer.write_batch(batch.select(["text", "id"]).cast(schema))
            total += megabytes(texts)
            rows += len(texts)
            starts.append(rows)
    stored = pa.ipc.open_file(pa.memory_map(str(out / "rows.arrow")))
    batch_of = [stored.get_batch(number) for number in range(stored.num_record_batches)]
    places = np.array(starts)

    def texts_of(wanted: np.ndarray) -> pa.Array:
        which = np.searchsorted(places, wanted, side="right") - 1
        parts = [
            batch_of[number].column("text").take(pa.array(wanted[which == number] - places[number]))
            for number in np.unique(which)
        ]
        return pa.concat_arrays(parts)

    first = np.zeros(rows, bool)
    first[np.unique(np.concatenate(hashes), return_index=True)[1]] = True
    kept = keep_first(rows, find_pairs(units, texts_of, threshold=0.7, alive=first))
    stays = first & (kept.twin < 0)
    ids: list[str] = []
    with pa.OSFile(str(out / "kept.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for number, batch in enumerate(batch_of):
            left = batch.filter(pa.array(stays[places[number] : places[number + 1]]))
            writer.write_batch(left)
            ids += left.column("id").to_pylist()
    return total, ids


def passes(source: Path, work: Callable[[pa.RecordBatch], None], laps: Laps, name: str) -> None:
    """Work on all batches; only the work is timed, not the reading."""
    spent = total = 0.0
    for batch in read(source):
        started = time.process_time()
        work(batch)
        spent += time.process_time() - started
        total += megabytes(batch.column("text"))
    laps.since = time.process_time() - spent
    laps(name, total)


def filters(source: Path, out: Path, laps: Laps, heldout: str = "") -> None:
    """The four filters' verdicts on every document: with empty memos, on new text with filled ones, on seen text."""
    from bmtool.registry import FILTERS as REGISTRY

    out.mkdir()
    ours = {name: REGISTRY.load(name)() for name in FILTERS}
    verdicts = (out / "verdicts.jsonl").open("w")

    def judge(batch: pa.RecordBatch) -> list[object]:
        documents = Documents(batch.column("text"))
        return [one.judge(documents) for one in ours.values()]

    def judge_and_write(batch: pa.RecordBatch) -> None:
        found = dict(zip(ours, judge(batch), strict=True))
        for row, identity in enumerate(batch.column("id").to_pylist()):
            rules = {name: int(found[name].rule[row]) for name in ours}
            named = {name: ours[name].rules()[rule] if rule >= 0 else "" for name, rule in rules.items()}
            verdicts.write(json.dumps({"id": identity, **named}) + "\n")

    for batch in read(source, most=100):
        judge(batch)
    laps("setup")
    passes(source, lambda batch: judge(batch) and None, laps, "filters cold")
    if heldout:
        passes(Path(heldout), lambda batch: judge(batch) and None, laps, "filters new")
    passes(source, lambda batch: judge(batch) and None, laps, "filters seen")
    for batch in read(source):
        judge_and_write(batch)
    verdicts.close()


def encode(source: Path, out: Path, laps: Laps, tokenizer: str, heldout: str, *check: str) -> None:
    """Token ids of every document: by an empty memo on the held-out text and on all, by a filled one on all.

    With `check`, all ids are compared with those of `tokenizers`.
    """
    from bmtool.data.tokenizing.encode import Encoder
    from tokenizers import Tokenizer

    out.mkdir()
    name = Path(tokenizer).stem

    def work(batch: pa.RecordBatch) -> None:
        encoder.encode(batch.column("text"))

    encoder = Encoder(Tokenizer.from_file(tokenizer))
    for batch in read(source, most=100):
        work(batch)
    laps("setup")
    encoder = Encoder(Tokenizer.from_file(tokenizer))
    passes(Path(heldout), work, laps, f"encode {name} cold")
    encoder = Encoder(Tokenizer.from_file(tokenizer))
    passes(source, work, laps, f"encode {name} cold, all")
    passes(source, work, laps, f"encode {name} warm")
    if check:
        documents, different = compare(source, encoder, Tokenizer.from_file(tokenizer))
        laps(f"encode {name} check", documents=documents, different=different, method=encoder.method)


def compare(source: Path, encoder: object, reference: object) -> tuple[int, int]:
    """(documents, how many of them have other ids by `tokenizers`)."""
    documents = different = 0
    for batch in read(source):
        texts = batch.column("text")
        ids, offsets = encoder.encode(texts)
        theirs = reference.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        documents += len(texts)
        different += sum(
            ids[offsets[row] : offsets[row + 1]].tolist() != encoding.ids for row, encoding in enumerate(theirs)
        )
    return documents, different


def scrub(source: Path, out: Path, laps: Laps) -> None:
    """All scrubbers over every document, warm: the automaton is built while the first rows are read."""
    from bmtool.data.text.scrub import scrub as scrub_texts
    from bmtool.registry import SCRUBBERS

    out.mkdir()
    scrubbers = [SCRUBBERS.load(name)() for name in SCRUBBERS.names()]
    for batch in read(source, most=100):
        scrub_texts(batch.column("text"), scrubbers)
    laps("setup")
    counts: dict[str, int] = {}

    def work(batch: pa.RecordBatch) -> None:
        for name, count in scrub_texts(batch.column("text"), scrubbers).counts.items():
            counts[name] = counts.get(name, 0) + count

    passes(source, work, laps, "scrub cold")
    found = dict(counts)
    passes(source, work, laps, "scrub")
    laps("scrub check", counts=found)


def main() -> None:
    part, source, out, *more = sys.argv[1:]
    {"near": near, "filters": filters, "encode": encode, "scrub": scrub}[part](Path(source), Path(out), Laps(), *more)


if __name__ == "__main__":
    main()
