"""Settings told to another process are the same settings there."""

import json
from pathlib import Path

import pytest
from bmtool.config.carried import from_plain, to_plain
from bmtool.config.shared import Runtime
from bmtool.runner.pipeline import load_pipeline

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_section_of_the_examples_arrives_as_it_was(file):
    pipeline = load_pipeline(file)
    sections = [pipeline.pretrain, pipeline.finetune, pipeline.runtime, *pipeline.prepare.values()]

    for section in [section for section in sections if section is not None]:
        arrived = from_plain(json.loads(json.dumps(to_plain(section))))

        assert arrived == section
        assert arrived.model_fields_set == section.model_fields_set


def test_what_cannot_be_told_is_refused():
    with pytest.raises(AssertionError, match=r"^a complex can't be told to another process$"):
        to_plain(Runtime.model_construct(threads=1j))
    with pytest.raises(AssertionError, match=r"^Runtime would arrive as other settings$"):
        to_plain(Runtime.model_construct(threads=[1]))


@pytest.mark.parametrize("kind", ["os:system", "bmtool.errors:BmtoolError"])
def test_only_our_own_settings_are_built(kind):
    with pytest.raises(TypeError, match=f"'{kind}' is no settings class of bmtool"):
        from_plain({"kind": kind, "value": {}})
