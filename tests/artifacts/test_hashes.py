import os
import time
from pathlib import Path

from bmtool.artifacts import hashes
from bmtool.artifacts.files import sha256_of
from bmtool.artifacts.hashes import HashCache, is_settled

SECOND = 1_000_000_000


def hashed_twice(tmp_path, monkeypatch, *, age):
    """How often a file is hashed that is asked for so many nanoseconds after it was written, then in another run."""
    path = tmp_path / "data.jsonl"
    path.write_text("some text")
    while not path.stat().st_ctime_ns % SECOND:
        os.utime(path)
    asked = []
    monkeypatch.setattr(hashes, "sha256_of", lambda file, stop: asked.append(file) or sha256_of(file, stop))
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: path.stat().st_ctime_ns + age)
    for _ in range(2):
        HashCache(tmp_path / "hashes").sha256(path)
    return len(asked)


def test_a_file_written_a_moment_before_is_hashed_again_by_the_next_run(tmp_path, monkeypatch):
    assert hashed_twice(tmp_path, monkeypatch, age=SECOND // 20) == 2


def test_a_file_written_a_quarter_of_a_second_before_is_hashed_once(tmp_path, monkeypatch):
    assert hashed_twice(tmp_path, monkeypatch, age=SECOND // 4) == 1


def test_stamps_in_whole_seconds_tell_two_writes_apart_after_two_seconds():
    changed = 1_700_000_000 * SECOND

    assert not is_settled(changed, changed + 2 * SECOND)
    assert is_settled(changed, changed + 2 * SECOND + 1)
    assert is_settled(changed + 1, changed + SECOND // 5)


def test_a_stamp_of_the_future_is_never_settled():
    assert not is_settled(1_700_000_000 * SECOND + 1, 1_699_999_999 * SECOND)


def test_the_clock_is_the_one_that_files_are_stamped_with(tmp_path):
    before = time.clock_gettime_ns(hashes.STAMP_CLOCK)
    (tmp_path / "file").write_text("text")

    changed = (tmp_path / "file").stat().st_ctime_ns

    # Newer kernels stamp a file that was looked at since the last tick by a finer clock, up to a tick ahead.
    assert before <= changed <= time.time_ns()


def test_a_line_of_the_memory_that_is_torn_or_foreign_is_passed_over(tmp_path):
    (tmp_path / "hashes").write_text('["a", 1, 2\n5\n[[1], 2, 3, 4, 5, 6]\n\0\0\n')
    (tmp_path / "file").write_text("text")

    assert HashCache(tmp_path / "hashes").sha256(tmp_path / "file") == sha256_of(tmp_path / "file")


def test_what_was_hashed_before_there_is_a_folder_is_written_once_there_is(tmp_path):
    path, place = tmp_path / "file", tmp_path / "store" / "hashes"
    path.write_text("text")
    cache = HashCache(place)
    digest = cache.sha256(path, ours=True)
    assert not place.parent.exists()
    place.parent.mkdir()

    cache.remember(path, digest)

    assert len(place.read_text().splitlines()) == 2
    assert HashCache(place).sha256(path) == digest


def test_where_nothing_may_be_written_a_hash_is_computed_and_not_remembered(tmp_path):
    (tmp_path / "file").write_text("text")
    cache = HashCache(Path("/sys/.hashes"))  # not even root may make a file there

    assert cache.sha256(tmp_path / "file", ours=True) == sha256_of(tmp_path / "file")
