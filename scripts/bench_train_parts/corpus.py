"""Builds a corpus of real text from the documentation on this machine, as documents of their natural lengths.

Sections of man pages, paragraphs of READMEs and of the descriptions of Python packages: most are short, a few are long.
`bmtool prepare` encodes them twice (WordPiece and BPE, 16,384 tokens each); the pieces that are trained on go, with
their special tokens, into files that peers read too. What comes out, in FOLDER:

    docs.jsonl                     one document a line
    runs/bench_train/prepare/      the two datasets, `wordpiece` and `bpe`
    mlm-128/, mlm-512/, clm-512/   tokens.npy, offsets.npy: all pieces of the train split, one after the other
"""

import gzip
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bench_prepare_parts.corpus import from_man

CONFIG = """\
version: 1
name: bench_train
prepare:
  wordpiece: {sources: docs.jsonl, split: {validation: 0.02}, tokenizer: {type: wordpiece, vocab_size: 16384}}
  bpe: {sources: docs.jsonl, split: {validation: 0.02}, tokenizer: {type: bpe, vocab_size: 16384}}
"""
LENGTHS = {"mlm": (128, 512), "clm": (512,)}
DATASETS = {"mlm": "wordpiece", "clm": "bpe"}
NUM_DOCUMENTS = 60_000
MIN_CHARS, MAX_FILE_BYTES = 80, 400_000
SECTION = re.compile(r"^(?=\.S[Hhs] )", re.MULTILINE)
HEADING = re.compile(r"\n#+ |\n=+\n")
PARAGRAPH = re.compile(r"\n\s*\n(?=[A-Z#=*])")
README = re.compile(r"(README|NEWS|FAQ|HACKING|\.md|\.txt|\.rst)(\.gz)?$")


def build(folder: Path, packages: Path) -> None:
    """Write everything named above into `folder`; `packages` is a site-packages folder."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = {re.sub(r"\s+", " ", text).strip(): None for text in texts(packages)}
    documents = [text for text in seen if len(text) >= MIN_CHARS]
    random.Random(0).shuffle(documents)
    with (folder / "docs.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in documents[:NUM_DOCUMENTS])
    (folder / "bench.yaml").write_text(CONFIG)
    subprocess.run([Path(sys.executable).with_name("bmtool"), "prepare", "bench.yaml"], cwd=folder, check=True)
    for task, lengths in LENGTHS.items():
        for length in lengths:
            write_pieces(folder, task, length)


def texts(packages: Path) -> Iterator[str]:
    """Sections and paragraphs, in a fixed order of files."""
    for path in sorted(Path("/usr/share/man").glob("man*/*.gz")):
        yield from map(from_man, SECTION.split(read(path))[1:])
    for path in sorted(packages.glob("*.dist-info/METADATA")):
        yield from HEADING.split(read(path).partition("\n\n")[2])
    for path in sorted(Path("/usr/share/doc").rglob("*")):
        if path.is_file() and README.search(path.name) and path.stat().st_size < MAX_FILE_BYTES:
            yield from PARAGRAPH.split(read(path))


def read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="ignore")


def examples_of(folder: Path, task: str, length: int):
    """The pieces of the train split, as bmtool's own objective cuts them."""
    from bmtool.data.dataset import open_dataset
    from bmtool.data.tokenizing.tokenizers import load_tokenizer
    from bmtool.objectives.clm import Clm
    from bmtool.objectives.mlm import Mlm

    dataset = open_dataset(folder / "runs/bench_train/prepare" / DATASETS[task])
    goal = {"mlm": Mlm, "clm": Clm}[task]()
    return goal.examples(dataset["train"], load_tokenizer(dataset.tokenizer_folder), length)


def write_pieces(folder: Path, task: str, length: int) -> None:
    """Pieces for peers, in the order of the split.

    A causal peer reads the corpus as one stream, as run_clm.py does: its pieces are cut from it without the token that
    bmtool puts before each, and with the one behind it only where a document ends.
    """
    examples = examples_of(folder, task, length)
    pieces = []
    for row, (start, size) in enumerate(zip(examples.starts, examples.lengths, strict=True)):
        text = examples.tokens.gather(np.array([start]), np.array([size]))
        is_inside = task == "clm" and not examples.columns["is_last"][row]
        prefix = examples.prefix if task == "mlm" else ()
        pieces.append([*prefix, *text.tolist(), *(() if is_inside else examples.suffix)])
    out = folder / f"{task}-{length}"
    out.mkdir(exist_ok=True)
    np.save(out / "tokens.npy", np.concatenate([np.array(piece, dtype=np.uint16) for piece in pieces]))
    np.save(out / "offsets.npy", np.cumsum([0, *map(len, pieces)]))
