"""Pre-trains a masked language model with the Hugging Face Trainer, as a user would, and saves it.

    peer.py OUT LIKE PIECES SETTINGS

LIKE is a checkpoint whose config.json and tokenizer are taken, PIECES a folder with tokens.npy and offsets.npy,
SETTINGS JSON: seed, steps, rows (a batch), learning_rate. Pieces are rows of their own, padded to the longest of their
batch.
"""

import json
import sys
from pathlib import Path

import datasets
import numpy as np
import transformers


def main() -> None:
    out, like, folder, wanted = sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    transformers.set_seed(wanted["seed"])
    tokens, offsets = np.load(folder / "tokens.npy"), np.load(folder / "offsets.npy")
    rows = [piece.tolist() for piece in np.split(tokens.astype(np.int32), offsets[1:-1])]
    tokenizer = transformers.AutoTokenizer.from_pretrained(like)
    config = transformers.AutoConfig.from_pretrained(like, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    arguments = transformers.TrainingArguments(
        out, max_steps=wanted["steps"], learning_rate=wanted["learning_rate"], lr_scheduler_type="linear",
        warmup_steps=0.1, per_device_train_batch_size=wanted["rows"], weight_decay=0.01, adam_beta2=0.98,
        adam_epsilon=1e-6, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, seed=wanted["seed"],
        dataloader_num_workers=0,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=transformers.AutoModelForMaskedLM.from_config(config),
        args=arguments,
        train_dataset=datasets.Dataset.from_dict({"input_ids": rows}),
        processing_class=tokenizer,
        data_collator=transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
    )
    trainer.train()
    trainer.save_model(out)


if __name__ == "__main__":
    main()
