"""A program that makes one small artifact through the store, for tests that kill it at every step."""

import sys
from pathlib import Path

from bmtool.artifacts.fingerprint import Identity
from bmtool.artifacts.lock import locked
from bmtool.artifacts.manifest import RESUME, Artifact, Manifest
from bmtool.artifacts.store import Place, Store


def make(root: Path, settings: dict[str, int], *, force: bool = False) -> Artifact:
    """Begin or go on, write two files and some saved work, commit, link."""
    store = Store(root)
    place = store.place("fake", Identity("fake", 1, settings, 0, {}, {}).fingerprint())
    artifact = None if force else store.find(place)
    if artifact is None:
        with locked(place.lock):
            artifact = store.finish(place) if not force and store.is_complete(place) else _work(store, place, force)
    store.verify(artifact)
    store.tidy(place)
    store.link("name/fake", artifact)
    return artifact


def _work(store: Store, place: Place, force: bool) -> Artifact:
    store.begin(place, fresh=force)
    (place.partial / RESUME).mkdir(exist_ok=True)
    (place.partial / RESUME / "state").write_text("saved work")
    (place.partial / "data").mkdir(exist_ok=True)
    (place.partial / "data" / "a.txt").write_text("a" * 1000)
    (place.partial / "b.txt").write_text("b")
    manifest = Manifest("dataset", "fake", 1, place.fingerprint, {}, {}, store.entries(place), {"rows": 1})
    return store.commit(place, manifest)


if __name__ == "__main__":
    made = make(Path(sys.argv[1]), {"a": int(sys.argv[2])}, force="--force" in sys.argv)
    print(made.folder.name)
