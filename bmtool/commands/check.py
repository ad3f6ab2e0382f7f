"""`bmtool check`: everything that is wrong with configurations, as far as it can be seen without opening data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.config.extras import EXTRAS, needed_extras
from bmtool.config.references import STAGES
from bmtool.console import json_text
from bmtool.errors import ConfigError
from bmtool.runner.apart import not_apart
from bmtool.runner.pipeline import load_pipeline
from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bmtool.console import Console
    from bmtool.runner.pipeline import Pipeline


def check(files: Sequence[Path], overrides: Sequence[str] = (), *, as_json: bool, console: Console) -> int:
    """Check each file; print `reviews.yaml: ok (...)` for the good ones, a line a problem for the others."""
    results: list[dict[str, Any]] = []
    for file in files:
        result: dict[str, Any] = {"file": str(file), "status": "done", "sections": [], "error": None}
        try:
            pipeline = load_pipeline(file, overrides)
            result["sections"] = sections(pipeline)
        except ConfigError as error:
            result |= {"status": "failed", "error": str(error)}
            console.error(str(error))
        else:
            for text in [*absent_sources(pipeline), *absent_extras(pipeline), *not_apart(pipeline)]:
                console.say(f"warning: {file}: {text}")
            if not as_json and not console.quiet:
                print(f"{file}: ok ({'; '.join(result['sections'])})")  # noqa: T201  # the result
        results.append(result)
    code = ConfigError.exit_code if any(result["error"] for result in results) else 0
    if as_json:
        print(json_text({"command": "check", "exit_code": code, "results": results}))  # noqa: T201
    return code


def absent_sources(pipeline: Pipeline) -> list[str]:
    """Paths of sources that name nothing yet, patterns aside: no fault of the file, as they may still come."""
    return [
        f"prepare.{name}.sources: {path} isn't there (relative to {Path.cwd()}); prepare will stop with 66"
        for name, config in pipeline.prepare.items()
        for source in config.sources
        if isinstance(source, FileSource)
        for path in ([source.path] if isinstance(source.path, str) else source.path)
        if path != "-" and not set("*?[") & set(path) and not Path(path).exists()
    ]


def absent_extras(pipeline: Pipeline) -> list[str]:
    """Extras that the file needs and that aren't installed here: no fault of the file, as it may run elsewhere."""
    return [
        f"{', '.join(names)} needs {' and '.join(missing)}, which isn't installed here: {EXTRAS[extra].pip}"
        for extra, names in extras_of(pipeline).items()
        if (missing := EXTRAS[extra].missing())
    ]


def extras_of(pipeline: Pipeline) -> dict[str, list[str]]:
    """By extra what needs it in a file."""
    sections = (getattr(pipeline, stage) for stage in STAGES[1:])
    return needed_extras(pipeline.prepare, *(section for section in sections if section is not None))


def sections(pipeline: Pipeline) -> list[str]:
    """What a file has: `["prepare corpus, stars", "pretrain"]`."""
    present = [stage for stage in STAGES if stage != "prepare" and getattr(pipeline, stage) is not None]
    return [f"prepare {', '.join(pipeline.prepare)}", *present] if pipeline.prepare else present
