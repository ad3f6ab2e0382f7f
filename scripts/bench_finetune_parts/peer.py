"""Fine-tunes with the Hugging Face Trainer and prints test accuracy and what it took, as a line behind RESULT.

    peer.py OUT CHECKPOINT DATASET SETTINGS

SETTINGS is JSON: seed, epochs, learning_rate, length, rows (a batch), bf16, dropout, group. What is timed is
tokenizing, training, and validation after each epoch, of which the best is kept; the test split is opened afterwards.
"""

import json
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import transformers


def main() -> None:
    out, checkpoint, folder, wanted = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    transformers.set_seed(wanted["seed"])
    cpu = time.process_time()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    splits = datasets.load_from_disk(folder)
    splits = splits.map(
        lambda rows: tokenizer(rows["text"], truncation=True, max_length=wanted["length"]),
        batched=True,
        load_from_cache_file=False,
        keep_in_memory=True,
    )
    tokens = sum(map(len, splits["train"]["input_ids"]))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=splits["train"].features["label"].num_classes, **wanted["dropout"]
    )
    grouping = {"train_sampling_strategy": "group_by_length"} if wanted["group"] else {}
    arguments = transformers.TrainingArguments(
        out, num_train_epochs=wanted["epochs"], learning_rate=wanted["learning_rate"], lr_scheduler_type="linear",
        warmup_steps=0.1, per_device_train_batch_size=wanted["rows"], per_device_eval_batch_size=32, weight_decay=0.01,
        adam_beta2=0.98, adam_epsilon=1e-6, bf16=wanted["bf16"], eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, metric_for_best_model="accuracy", save_total_limit=1, report_to=[], use_cpu=True,
        disable_tqdm=True, seed=wanted["seed"], dataloader_num_workers=0, **grouping,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda given: {"accuracy": float((np.argmax(given[0], -1) == given[1]).mean())},
    )
    trainer.train()
    cpu = time.process_time() - cpu
    answers = trainer.predict(splits["test"])
    result = {
        "accuracy": answers.metrics["test_accuracy"],
        "cpu": cpu,
        "tokens": round(tokens * wanted["epochs"]),
        "rows": len(splits["test"]),
    }
    print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    main()
