"""Runs one peer over JSON lines as its own documentation says, and prints what it took as one JSON line.

    peers.py NAME FOLDER_OR_FILE OUT [TOKENIZER]

It needs an environment with the peers in it, and nothing of bmtool. `setup` is the CPU time until the imports were
done; `cpu` is all of it, that of child processes included.
"""

import itertools
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

#: The eight kinds of private data, as one would write them for `re`; what matches is checked as bmtool checks it.
PATTERNS = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    "phone": r"(?<![\w.])\+?\d{1,3}[ .-]?\(?\d{2,4}\)?(?:[ .-]?\d{2,4}){2,3}(?![\w.])",
    "ipv4": r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])",
    "ipv6": r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,6}(?![\w:])",
    "card": r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "chinese_id": r"(?<!\d)[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d\d{3}[\dXx](?!\d)",
    "secret": r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|sk-[A-Za-z0-9]{20,}|xox[abp]-[A-Za-z0-9-]{10,})\b",
}


def cpu() -> float:
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in usage)


def files_of(source: Path) -> list[Path]:
    return sorted(source.glob("*.jsonl")) if source.is_dir() else [source]


def rows_of(source: Path) -> Iterator[dict[str, str]]:
    import orjson

    for path in files_of(source):
        with path.open("rb") as lines:
            yield from map(orjson.loads, lines)


def write_rows(path: Path, rows: Iterator[dict[str, str]]) -> None:
    import orjson

    with path.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)


def datatrove_run(out: Path, name: str, steps: list[object], tasks: int) -> None:
    from datatrove.executor.local import LocalPipelineExecutor

    LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=str(out / f"log_{name}")).run()


def datatrove_minhash(source: Path, out: Path) -> Iterator[None]:
    """The four steps of datatrove's example `minhash_deduplication.py`, its defaults: 14 bands of 8, 5-grams."""
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    yield
    config, tasks = MinhashConfig(), len(files_of(source))
    sig, buckets, remove = (str(out / name) for name in ("sig", "buckets", "remove"))

    def reader() -> JsonlReader:
        return JsonlReader(str(source), glob_pattern="*.jsonl")

    datatrove_run(out, "sig", [reader(), MinhashDedupSignature(sig, config=config)], tasks)
    datatrove_run(out, "buckets", [MinhashDedupBuckets(sig, buckets, config=config)], config.num_buckets)
    datatrove_run(out, "cluster", [MinhashDedupCluster(buckets, remove, config=config)], 1)
    writer = JsonlWriter(str(out / "kept"), compression=None)
    datatrove_run(out, "filter", [reader(), MinhashDedupFilter(remove), writer], tasks)


def datatrove_filters(source: Path, out: Path) -> Iterator[None]:
    """Each filter's verdict on every document, not only on those that earlier filters left."""
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.readers import JsonlReader

    yield
    filters = {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "c4": C4QualityFilter(filter_no_terminal_punct=True),
        "fineweb": FineWebQualityFilter(),
    }
    with (out / "verdicts.jsonl").open("w") as file:
        for document in JsonlReader(str(source), glob_pattern="*.jsonl")(None):
            text, verdicts = document.text, {}
            for name, one in filters.items():
                document.text = text
                result = one.filter(document)
                verdicts[name] = "" if result is True else result[1] if isinstance(result, tuple) else name
            file.write(json.dumps({"id": document.id, **verdicts}) + "\n")


def datatrove_pipeline(source: Path, out: Path) -> Iterator[None]:
    """The four filters as a pipeline: a document that one drops isn't seen by the next; JSON lines out."""
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    yield
    steps = [
        JsonlReader(str(source), glob_pattern="*.jsonl"),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=True),
        FineWebQualityFilter(),
        JsonlWriter(str(out / "kept"), compression=None),
    ]
    datatrove_run(out, "filters", steps, len(files_of(source)))


def gaoya(source: Path, out: Path) -> Iterator[None]:
    """Index of 14 bands of 8 over word 5-grams: a document goes if one that was kept is found by a query for it."""
    from gaoya.minhash import MinHashStringIndex

    yield
    index = MinHashStringIndex(32, 0.7, 14, 8, None, "word", True, (5, 5), "smallvec")

    def kept() -> Iterator[dict[str, str]]:
        for number, row in enumerate(rows_of(source)):
            if not index.query(row["text"]):
                index.insert_document(number, row["text"])
                yield row

    write_rows(out / "kept.jsonl", kept())


def gaoya_bulk(source: Path, out: Path) -> Iterator[None]:
    """The same by batches: insert them all, then ask for all of them, and keep the first of each group."""
    from gaoya.minhash import MinHashStringIndex

    yield
    index = MinHashStringIndex(32, 0.7, 14, 8, None, "word", True, (5, 5), "smallvec")
    rows = list(rows_of(source))
    texts = [row["text"] for row in rows]
    numbers = list(range(len(rows)))
    for start in range(0, len(rows), 4096):
        index.par_bulk_insert_docs(numbers[start : start + 4096], texts[start : start + 4096])
    dropped: set[int] = set()
    for start in range(0, len(rows), 4096):
        for number, similar in enumerate(index.par_bulk_query(texts[start : start + 4096]), start):
            if number not in dropped:
                dropped.update(other for other in similar if other > number)
    write_rows(out / "kept.jsonl", (row for number, row in enumerate(rows) if number not in dropped))


def text_dedup(source: Path, out: Path) -> Iterator[None]:
    """`python -m text_dedup.minhash` with 14 bands of 8 over word 5-grams, one process."""
    from text_dedup.minhash import main as deduplicate

    yield
    words = ["--path", "json", "--data_files", ",".join(map(str, files_of(source))), "--split", "train"]
    words += ["--cache_dir", str(out / "cache"), "--output", str(out / "kept"), "--column", "text", "--ngram", "5"]
    words += ["--b", "14", "--r", "8", "--num_perm", "112", "--num_proc", "1", "--batch_size", "10000"]
    deduplicate(words, standalone_mode=False)


def datasets_map(source: Path, out: Path, tokenizer: str) -> Iterator[None]:
    """Hugging Face's `run_mlm.py`: `datasets.map` with a fast tokenizer, then `group_texts` to blocks of 512."""
    os.environ["HF_DATASETS_CACHE"] = str(out / "cache")
    from datasets import disable_progress_bars, load_dataset
    from transformers import PreTrainedTokenizerFast

    disable_progress_bars()
    fast = PreTrainedTokenizerFast(tokenizer_file=tokenizer, model_max_length=10**9)
    yield
    rows = load_dataset("json", data_files=[str(path) for path in files_of(source)], split="train")
    block = 512

    def tokenize(batch: dict[str, list[str]]) -> object:
        return fast(batch["text"], return_special_tokens_mask=True)

    def group(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {key: list(itertools.chain(*lists)) for key, lists in batch.items()}
        total = len(joined["input_ids"]) // block * block
        return {key: [ids[start : start + block] for start in range(0, total, block)] for key, ids in joined.items()}

    tokens = rows.map(tokenize, batched=True, remove_columns=rows.column_names)
    tokens.map(group, batched=True).save_to_disk(str(out / "blocks"))


def luhn(value: str) -> bool:
    digits = [int(character) for character in reversed(value) if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def mod97(value: str) -> bool:
    compact = value.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def mod11(value: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(weight * int(digit) for weight, digit in zip(weights, value[:17], strict=True))
    return "10X98765432"[total % 11] == value[17].upper()


def scrub(source: Path, out: Path) -> Iterator[None]:
    """Python's `re`, a compiled pattern a kind, with the checksums; JSON lines in and out."""
    checks = {"card": luhn, "iban": mod97, "chinese_id": mod11}
    compiled = [(re.compile(pattern), f"[{kind.upper()}]", checks.get(kind)) for kind, pattern in PATTERNS.items()]
    yield

    def cleaned() -> Iterator[dict[str, str]]:
        for row in rows_of(source):
            text = row["text"]
            for pattern, tag, check in compiled:
                if check is None:
                    text = pattern.sub(tag, text)
                else:
                    text = pattern.sub(lambda match, tag=tag, check=check: tag if check(match[0]) else match[0], text)
            row["text"] = text
            yield row

    write_rows(out / "clean.jsonl", cleaned())


PEERS = {
    "datatrove_minhash": datatrove_minhash,
    "datatrove_filters": datatrove_filters,
    "datatrove_pipeline": datatrove_pipeline,
    "gaoya": gaoya,
    "gaoya_bulk": gaoya_bulk,
    "text_dedup": text_dedup,
    "datasets_map": datasets_map,
    "scrub": scrub,
}


def main() -> None:
    name, source, out, *more = sys.argv[1:]
    Path(out).mkdir(parents=True)
    steps = PEERS[name](Path(source), Path(out), *more)
    next(steps)
    setup = cpu()
    next(steps, None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("RESULT " + json.dumps({"setup": setup, "cpu": cpu(), "peak_mb": peak}))


if __name__ == "__main__":
    main()
