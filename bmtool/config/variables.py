"""Environment variables in paths: `${HOME}/data` is the only place where a configuration looks outside itself."""

from __future__ import annotations

import os
import re

from bmtool.errors import ConfigError, did_you_mean


def expand(path: str) -> str:
    """`path` with each `${NAME}` replaced by the variable's value.

    Raises:
        ConfigError: a variable isn't set; or the path begins with `~`, which only shells read.
    """

    if path == "~" or path.startswith("~/"):
        raise ConfigError(f"'{path}': '~' isn't read in paths. Write ${{HOME}}{path[1:]}")

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            hint = did_you_mean(name, os.environ)
            raise ConfigError(f"the environment variable '{name}' isn't set; '{path}' needs it.{hint}")
        return os.environ[name]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, path)
