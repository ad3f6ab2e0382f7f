"""What `--smoke` makes of a file: the same stages with a few rows and a few steps, to see in CI that all of it runs."""

from __future__ import annotations

#: Rows of a dataset, about; its sources share them alike.
SMOKE_ROWS = 1000

#: Steps of a run in all, and how often it is validated on the way.
SMOKE_STEPS, SMOKE_EVAL_STEPS = 20, 10

#: The least share of a split that isn't empty: 2 % of what filters leave of a thousand rows may be no row.
SMOKE_SPLIT = 0.1

#: Behind the pipeline's name in links. No name in a file may have a dot, so that a smoke run never moves another's.
SMOKE_SUFFIX = ".smoke"


def little_budget(steps: int) -> dict[str, int | None]:
    """The settings that say how long to train, for so many steps."""
    return {"max_steps": steps, "max_tokens": None, "num_train_epochs": None}
