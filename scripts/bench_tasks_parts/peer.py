"""Fine-tunes with the Hugging Face Trainer, as a user would run it, and prints what the steps took behind RESULT.

    peer.py FOLDER TASK SETTINGS

SETTINGS is JSON: steps, warm, bf16, dropout (null: as the model's file says, 0.1), learning_rate. Rows are encoded
already; the collator that the field has for the task pads 16 of them to the longest.
"""

import json
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from bench_tasks_parts.work import DROPOUT, ROWS, ROWS_A_BATCH

TEMPERATURE = 0.05


class PairTrainer(transformers.Trainer):
    """Each text finds its partner among the batch's, both ways in the mean, by the mean of its last hidden states."""

    def compute_loss(self, model, inputs, **_):
        first, second = (F.normalize(mean_states(model, inputs[side]), dim=-1) for side in ("first", "second"))
        scores = first @ second.T / TEMPERATURE
        partners = torch.arange(len(scores))
        return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


def mean_states(model, texts):
    states = model(**texts).last_hidden_state.float()
    mask = texts["attention_mask"][..., None]
    return (states * mask).sum(dim=1) / mask.sum(dim=1)


class Clock(transformers.TrainerCallback):
    """The CPU that was spent when steps ended, and the real tokens of their batches."""

    def __init__(self, pad) -> None:
        self.pad, self.ended, self.tokens, self.losses = pad, [], [], []

    def collate(self, rows):
        self.tokens.append(sum(row["tokens"] for row in rows))
        return self.pad([{name: value for name, value in row.items() if name != "tokens"} for row in rows])

    def on_step_end(self, *_, **__) -> None:
        self.ended.append(time.process_time())

    def on_log(self, *_, logs=None, **__) -> None:
        if "loss" in (logs or {}):
            self.losses.append(logs["loss"])


def collator_of(name: str, tokenizer, model):
    """The field's own; of pairs each side is padded by itself."""
    kind = getattr(transformers, ROWS[name].collator)
    pad = kind(tokenizer, model=model) if ROWS[name].auto_class == "AutoModelForSeq2SeqLM" else kind(tokenizer)
    if name != "similarity":
        return pad
    sides = {"first": "input_ids", "second": "input_ids_pair"}
    return lambda rows: {side: pad([{"input_ids": row[column]} for row in rows]) for side, column in sides.items()}


def main() -> None:
    folder, name, wanted = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    transformers.set_seed(0)
    place = folder / name / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    names = DROPOUT[transformers.AutoConfig.from_pretrained(place).model_type]
    dropout = {} if wanted["dropout"] is None else dict.fromkeys(names, wanted["dropout"])
    model = getattr(transformers, ROWS[name].auto_class).from_pretrained(place, dtype=torch.float32, **dropout)
    rows = datasets.Dataset.from_file(str(folder / name / "rows.arrow"))
    clock = Clock(collator_of(name, tokenizer, model))
    arguments = transformers.TrainingArguments(
        str(folder / "work" / "peer"), per_device_train_batch_size=ROWS_A_BATCH, max_steps=wanted["steps"],
        learning_rate=wanted["learning_rate"], lr_scheduler_type="constant_with_warmup", warmup_steps=0.1,
        weight_decay=0.01, bf16=wanted["bf16"], logging_steps=1, save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True, remove_unused_columns=False, dataloader_num_workers=0,
    )  # fmt: skip
    kind = PairTrainer if name == "similarity" else transformers.Trainer
    trainer = kind(model=model, args=arguments, train_dataset=rows, data_collator=clock.collate, callbacks=[clock])
    ratio = ROWS[name].loss_ratio
    first = ratio * first_loss(trainer, clock, rows)
    trainer.train()
    report(clock, wanted["warm"], first, ratio)


def first_loss(trainer, clock: Clock, rows) -> float:
    """Of the first rows, in float32 and without dropout, before anything is learned.

    Where an answer is looked for, each row is by itself: transformers' softmax takes a batch's padding for places, too.
    """
    few = rows.select(range(ROWS_A_BATCH)).remove_columns("tokens").to_list()
    parts = [[row] for row in few] if "start_positions" in few[0] else [few]
    trainer.model.eval()
    with torch.no_grad():
        return float(np.mean([float(trainer.compute_loss(trainer.model, clock.pad(part))) for part in parts]))


def report(clock: Clock, warm: int, first: float, ratio: float) -> None:
    cpu = clock.ended[-1] - clock.ended[warm - 1]
    tokens = clock.tokens[warm : len(clock.ended)]
    result = {
        "rate": sum(tokens) / cpu,
        "cpu": cpu,
        "step": sum(tokens) / len(tokens),
        "first": first,
        "end": ratio * float(np.mean(clock.losses[-5:])),
    }
    print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
