"""Trains with the Hugging Face Trainer, as a user would run it, and prints what the steps took behind RESULT.

    peer.py FOLDER OUT TASK SIZE LENGTH [--bf16] [--dropout 0.1] [--group] --steps 12 --warm 3 --documents 4000

Masked pieces are rows of their own, padded to the longest of a batch of 32 (run_mlm.py --line_by_line); a causal corpus
is one stream cut into blocks (run_clm.py). With --group, batches of like lengths, and the whole epoch is timed.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import datasets
import numpy as np
import torch
import transformers
from bench_train_parts.work import SIZES, VOCABULARY, useful_flops

ROWS_A_BATCH = 32


def model_of(task: str, size: str, length: int, dropout: float):
    layers, width, heads = SIZES[size]
    if task == "mlm":
        config = transformers.BertConfig(
            vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=4 * width, max_position_embeddings=512, hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )  # fmt: skip
        return transformers.BertForMaskedLM(config)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=width, n_layer=layers, n_head=heads, n_positions=max(length, 512),
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def rows_of(words: argparse.Namespace) -> list[list[int]]:
    folder = words.folder / f"{words.task}-{words.length}"
    tokens, offsets = np.load(folder / "tokens.npy", mmap_mode="r"), np.load(folder / "offsets.npy")
    count = min(len(offsets) - 1, words.documents)
    if words.task == "mlm":
        return [tokens[offsets[row] : offsets[row + 1]].astype(int).tolist() for row in range(count)]
    flat = tokens[: offsets[count]].astype(int)
    blocks = len(flat) // words.length
    return flat[: blocks * words.length].reshape(blocks, words.length).tolist()


class Clock(transformers.TrainerCallback):
    """The times at which steps ended, and how large their batches were."""

    def __init__(self, task: str, collate) -> None:
        self.task, self.pad = task, collate
        self.ended, self.sizes, self.losses, self.loading = [], [], [], []

    def collate(self, rows):
        started = time.thread_time()
        batch = self.pad(rows)
        self.loading.append(time.thread_time() - started)
        lengths = np.array([len(row["input_ids"]) for row in rows], dtype=np.int64)
        predicted = int((batch["labels"] != -100).sum()) if self.task == "mlm" else int((lengths - 1).sum())
        self.sizes.append((int(lengths.sum()), int((lengths**2).sum()), predicted, batch["input_ids"].numel()))
        return batch

    def on_step_end(self, *_, **__) -> None:
        self.ended.append((time.perf_counter(), time.process_time()))

    def on_log(self, *_, logs=None, **__) -> None:
        if "loss" in (logs or {}):
            self.losses.append(logs["loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("task", choices=["mlm", "clm"])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("length", type=int)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--group", action="store_true")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--documents", type=int, default=4000)
    words = parser.parse_args()
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    rows = rows_of(words)
    name = {"mlm": "wordpiece", "clm": "bpe"}[words.task]
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        words.folder / "runs/bench_train/prepare" / name / "tokenizer"
    )
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    collate = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=words.task == "mlm", mlm_probability=0.15)
    clock = Clock(words.task, collate)
    steps = len(rows) // ROWS_A_BATCH if words.group else words.steps
    grouping = {"train_sampling_strategy": "group_by_length"} if words.group else {}
    arguments = transformers.TrainingArguments(
        str(words.out), per_device_train_batch_size=ROWS_A_BATCH, max_steps=steps, learning_rate=5e-4, bf16=words.bf16,
        logging_steps=1, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, weight_decay=0.01,
        lr_scheduler_type="constant_with_warmup", warmup_steps=10, dataloader_num_workers=0, **grouping,
    )  # fmt: skip
    transformers.Trainer(
        model=model_of(words.task, words.size, words.length, words.dropout),
        args=arguments,
        train_dataset=datasets.Dataset.from_dict({"input_ids": rows}),
        data_collator=clock.collate,
        callbacks=[clock],
    ).train()
    report(words, clock, 1 if words.group else words.warm)


def report(words: argparse.Namespace, clock: Clock, warm: int) -> None:
    wall, cpu = np.subtract(clock.ended[-1], clock.ended[warm - 1])
    tokens, squares, predicted, places = np.sum(clock.sizes[warm : len(clock.ended)], axis=0).tolist()
    trained = tokens if words.task == "mlm" else predicted
    print(
        "RESULT "
        + json.dumps(
            {
                "tokens": trained,
                "rate": trained / cpu,
                "wall_rate": trained / wall,
                "gflops": useful_flops(words.task, words.size, tokens, squares, predicted) / cpu / 1e9,
                "loader": sum(clock.loading[warm:]) / cpu,
                "real": tokens / places,
                "loss": [clock.losses[0], float(np.mean(clock.losses[-5:]))],
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
