"""Trains on texts of extreme length or number, and prints what the steps took, as a line of JSON behind RESULT.

    extremes.py long FOLDER WITH          one text of 8,192 tokens in each batch of 16,384 (WITH 1), or none (WITH 0)
    extremes.py documents FOLDER COUNT    a corpus of COUNT texts of 20 tokens, which is removed afterwards

Tokens are random. `rate` is tokens a CPU second of the process, from the third batch to the last; the CPU seconds from
the corpus to the first batch, compiling left in, are `plan_seconds`. `anonymous_mb` is the most that the process took
for itself, looked at a hundred times a second: pages of mapped files are the kernel's to take back, and don't count.
`rss_mb` counts them.
"""

import argparse
import json
import re
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from bench_train_parts.ours import Clock, Never
from bmtool.architectures.bert import Bert
from bmtool.architectures.modernbert import Modernbert
from bmtool.config.model import validate
from bmtool.config.shared import Runtime, Training
from bmtool.console import Console
from bmtool.contracts import Examples, Job
from bmtool.data.dataset import Split
from bmtool.data.storage import SplitWriter, features
from bmtool.data.tokens import InMemoryTokens
from bmtool.models.building.build import new_model
from bmtool.models.families.packed import set_dropout
from bmtool.models.goals.language import masked_pieces
from bmtool.objectives.mlm import Mlm
from bmtool.train.loop import fit
from bmtool.train.phases import Phase
from bmtool.train.states.recovery import Start
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing

VOCABULARY = 8192
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONG, SHORT, BATCH_TOKENS = 8192, 128, 16384
TEXT_TOKENS, ROWS_A_WRITE = 20, 100_000
WARM, STEPS = 2, {"long": 8, "documents": 40}


class Memory(threading.Thread):
    """Looks at the process's own memory a hundred times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most_kb = {"RssAnon": 0, "VmRSS": 0}

    def run(self) -> None:
        while True:
            status = Path("/proc/self/status").read_text()
            for name, most in self.most_kb.items():
                self.most_kb[name] = max(most, int(re.search(rf"{name}:\s+(\d+)", status)[1]))
            time.sleep(0.01)


def tokenizer() -> Tokenizer:
    """A vocabulary of as many words, with BERT's special tokens."""
    words = [*SPECIAL, *(f"w{number}" for number in range(VOCABULARY - len(SPECIAL)))]
    made = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.add_special_tokens(list(SPECIAL))
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def texts(lengths: list[int]) -> Examples:
    """Random tokens, in memory."""
    sizes = np.array(lengths)
    return Examples(
        tokens=InMemoryTokens(np.random.default_rng(0).integers(5, VOCABULARY, int(sizes.sum()))),
        starts=np.cumsum(sizes) - sizes,
        lengths=sizes,
        prefix=(2,),
        suffix=(3,),
        columns={},
        vocab_size=VOCABULARY,
        special_ids={word: number for number, word in enumerate(SPECIAL)},
    )


def write_corpus(folder: Path, count: int) -> Split:
    """So many texts of random tokens, as `prepare` writes a corpus."""
    schema = pa.schema([("text", pa.string()), ("input_ids", pa.list_(pa.uint16()))])
    writer = SplitWriter(folder, schema)
    rng = np.random.default_rng(0)
    for start in range(0, count, ROWS_A_WRITE):
        rows = min(ROWS_A_WRITE, count - start)
        ids = rng.integers(5, VOCABULARY, rows * TEXT_TOKENS, dtype=np.uint16)
        offsets = np.arange(rows + 1, dtype=np.int32) * TEXT_TOKENS
        columns = [pa.array(["w"] * rows), pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids))]
        writer.write(pa.record_batch(columns, schema=schema))
    return Split(folder.name, [folder / name for name in writer.close()], features(schema, {}), count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=STEPS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    words = parser.parse_args()
    torch.manual_seed(0)
    out = words.folder / f"{words.kind}-{words.count}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        print("RESULT " + json.dumps(long(words, out) if words.kind == "long" else documents(words, out)), flush=True)
    finally:
        shutil.rmtree(out)


def long(words: argparse.Namespace, out: Path) -> dict[str, float]:
    rest = (BATCH_TOKENS - words.count * LONG) // SHORT
    lengths = ([LONG - 2] * words.count + [SHORT - 2] * rest) * STEPS["long"]
    architecture = Modernbert(size="mini")
    return train(words, out, architecture, lambda: texts(lengths), LONG)


def documents(words: argparse.Namespace, out: Path) -> dict[str, float]:
    split = write_corpus(out / "train", words.count)
    architecture = Bert(size="tiny")
    return train(words, out, architecture, lambda: masked_pieces(split, tokenizer(), SHORT), SHORT)


def train(words: argparse.Namespace, out: Path, architecture, examples, length: int) -> dict[str, float]:
    """Train for some steps, and say how fast and in how much memory."""
    roles = {"pad": 0, "cls": 2, "sep": 3}
    config = architecture.config(vocab_size=VOCABULARY, max_seq_length=length, special_ids=roles)
    model = new_model(config, "AutoModelForMaskedLM")
    set_dropout(model, 0.0)
    settings = {
        "max_seq_length": length, "per_device_batch_tokens": BATCH_TOKENS, "max_steps": STEPS[words.kind],
        "learning_rate": 5e-4, "lr_scheduler_type": "constant", "save_every": "1000000 steps",
    }  # fmt: skip
    runtime = Runtime(device="cpu", threads=torch.get_num_threads())
    job = Job(out, {}, 0, runtime, Console(quiet=True), Never())
    clock, memory = Clock(), Memory()
    memory.start()
    begun = time.process_time()
    phase = Phase(clock.on(Mlm()), examples(), None, validate(Training, settings), lambda _: {})
    start = Start(lambda _: new_model(config, "AutoModelForMaskedLM"), job)
    fit(model, [phase], job=job, start=start)
    tokens = sum(size[0] for size in clock.sizes[WARM:-1])
    return {
        "rate": tokens / (clock.started[-1][1] - clock.started[WARM][1]),
        "plan_seconds": clock.started[0][1] - begun,
        "loader": sum(clock.loading[WARM:-1]) / (clock.started[-1][1] - clock.started[WARM][1]),
        "anonymous_mb": memory.most_kb["RssAnon"] / 1024,
        "rss_mb": memory.most_kb["VmRSS"] / 1024,
    }


if __name__ == "__main__":
    main()
