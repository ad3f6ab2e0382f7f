"""`bmtool schema`: the JSON Schema of a configuration, with which editors complete and check one."""

from __future__ import annotations

import json

from bmtool import __version__
from bmtool.config.json_schema import json_schema
from bmtool.runner.pipeline import file_model, stage_modules


def schema() -> int:
    """Print the schema of this version's files."""
    file = file_model({stage: module.Config for stage, module in stage_modules().items()})
    document = json_schema(file, f"Written by `bmtool schema` of bmtool {__version__}")
    print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201  # the result
    return 0
