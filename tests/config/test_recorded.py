"""What an artifact records may come from another version: a setting that is gone is an error with a name, no crash."""

from pathlib import Path

import pytest
from bmtool.config.recorded import read_back
from bmtool.errors import MissingInputError
from bmtool.registry import TASKS

FOLDER = Path("runs/x/prepare/pairs")


def test_what_is_known_is_read_back_as_it_was():
    settings = {"type": "text_classification", "pair": True}

    task = read_back(TASKS, settings, FOLDER, "Prepare it again")

    assert (task.name(), task.pair) == ("text_classification", True)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"type": "translation", "source_prefix": "x"}, "source_prefix"),
        ({"type": "text_regression", "pair": "perhaps"}, "pair"),
        ({"type": "of_tomorrow"}, "of_tomorrow"),
    ],
)
def test_what_this_version_does_not_know_is_named_with_what_to_do(settings, problem):
    with pytest.raises(MissingInputError) as raised:
        read_back(TASKS, settings, FOLDER, "Prepare it again with --force")

    message = str(raised.value)
    assert message.startswith(f"{FOLDER}: its task was recorded by another version")
    assert problem in message
    assert message.endswith("Prepare it again with --force")
