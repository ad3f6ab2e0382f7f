"""One of several processes that train together, started by `bmtool.runner.agent`: `python -m bmtool.runner.member`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from bmtool.console import Console
from bmtool.models.bundles.fresh import die_with_parent
from bmtool.runner.agent import WORD, WORK
from bmtool.runner.crash import as_error
from bmtool.runner.stop import StopRequest
from bmtool.runner.together import Mute, Work, take_part


def main(folder: Path) -> int:
    """Take part in what `folder` says; the first process leaves its summary or its error there. The exit code."""
    told = json.loads((folder / WORK).read_text(encoding="utf-8"))
    die_with_parent(told["parent"])
    is_first = os.environ["RANK"] == "0"
    stop = StopRequest(told["max_seconds"] if is_first else None)
    console = Console(**told["console"]) if is_first else Mute()
    word: dict[str, Any] = {}
    code = 0
    with stop.listening():
        try:
            word = {"summary": take_part(Work(**told["work"]), 0, console, stop)}
        except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001  # told to the parent, which ends with it
            from bmtool.train.machine.world import ProcessGoneError

            error = as_error(problem)
            code = error.exit_code
            is_echo = isinstance(problem, ProcessGoneError)
            word = {"error": {"exit_code": code, "text": str(error)}, "is_echo": is_echo}
        if is_first:
            new = folder / f".{WORD}"
            new.write_text(json.dumps(word), encoding="utf-8")
            new.rename(folder / WORD)
    return code


if __name__ == "__main__":
    ended = main(Path(sys.argv[1]))
    sys.stderr.flush()
    # All is written. What is left of torch's threads may abort the process while the interpreter is taken down.
    os._exit(ended)
