"""A file that names no method is what it was: nothing else is read, made, or fingerprinted."""

import pytest
from bmtool.config.model import validate, what
from bmtool.contracts import Method
from bmtool.methods.supervised import Supervised
from bmtool.stages.finetune import Config

BASE = {"data": "stars", "num_train_epochs": 1}


def test_the_method_that_is_meant_by_none_is_no_part_of_the_fingerprint():
    unnamed, named = validate(Config, BASE), validate(Config, {**BASE, "method": "supervised"})

    assert unnamed.method == named.method == Supervised()
    assert what(unnamed) == what(named)
    assert "method" not in what(unnamed)


@pytest.mark.parametrize("verb", ["needs", "unfit", "shaped", "phases", "finished", "start"])
def test_supervised_changes_nothing(verb):
    assert getattr(Supervised, verb) is getattr(Method, verb)
