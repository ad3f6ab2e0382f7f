"""import-linter says nothing of a room that its contract doesn't name."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


@pytest.mark.parametrize("house", ["train", "models", "data"])
def test_every_room_stands_in_a_layer(house):
    [layers] = [one["layers"] for one in CONTRACTS if one.get("containers") == [f"bmtool.{house}"]]

    rooms = {path.parent.name for path in ROOT.joinpath("bmtool", house).glob("*/__init__.py")}

    assert rooms - {room for layer in layers for room in layer.split(" | ")} == set()
