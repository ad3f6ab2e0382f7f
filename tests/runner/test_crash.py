"""What a library raises where the disk refuses is no bug of ours."""

import errno
import os
import resource

import pytest
import torch
from bmtool.errors import StoppedError, StorageError, TryAgainError, stopped
from bmtool.runner.crash import as_error
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

WRITERS = {
    "safetensors": lambda path: save_file({"weight": torch.zeros(100_000)}, path),
    "tokenizers": lambda path: Tokenizer(WordLevel({str(n): n for n in range(100_000)}, "0")).save(str(path)),
    "python": lambda path: path.write_bytes(bytes(400_000)),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_the_disk_refuses_is_told_as_such_by_every_library(tmp_path, writer):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(Exception, match="File too large") as problem:
            WRITERS[writer](tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    error = as_error(problem.value, tmp_path)

    assert isinstance(error, StorageError)
    assert str(error) == (
        f"{os.strerror(errno.EFBIG)}. The last good state is kept; the same command goes on from there"
    )


def test_any_other_exception_is_a_bug_with_its_traceback(tmp_path):
    error = as_error(ValueError("(os error of another kind)"), tmp_path)

    assert error.exit_code == 1
    assert str(error).startswith("a bug in bmtool: ValueError: (os error of another kind). The traceback is in ")


@pytest.mark.parametrize(
    ("problem", "what"),
    [
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), "x.arrow"), ": x.arrow"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), ""),
        (MemoryError("malloc of size 99 failed"), ": malloc of size 99 failed"),
        (MemoryError(), ""),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ": DefaultCPUAllocator: can't allocate memory"),
        (
            RuntimeError("CUDA out of memory. Tried 20 GiB"),
            ": CUDA out of memory. Tried 20 GiB",
        ),
    ],
)
def test_too_little_memory_is_no_bug(tmp_path, problem, what):
    error = as_error(problem, tmp_path)

    assert isinstance(error, TryAgainError)
    assert str(error) == (
        f"Cannot allocate memory{what}. There is too little memory, or a limit on it (ulimit -v). The last good state "
        "is kept; with more memory, or with fewer workers, the same command goes on from there"
    )


@pytest.mark.parametrize(("reason", "kind"), [("Ctrl-C", StoppedError), ("SIGTERM", TryAgainError)])
def test_a_stop_that_a_library_made_another_error_of_is_still_one(tmp_path, reason, kind):
    def load():
        try:
            raise stopped(reason, "what was on the disk is kept")
        except Exception as problem:
            raise ModuleNotFoundError("Could not import module 'BertModel'") from problem

    with pytest.raises(ModuleNotFoundError) as problem:
        load()

    error = as_error(problem.value, tmp_path)

    assert isinstance(error, kind)
    assert str(error).startswith(f"stopped by {reason}; ")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOTCONN, errno.ENOLCK, errno.ENAMETOOLONG, errno.EMFILE])
def test_a_mount_that_is_gone_and_names_that_can_not_be_are_no_bugs(tmp_path, number):
    error = as_error(OSError(number, os.strerror(number), "/mnt/x"), tmp_path)

    assert isinstance(error, StorageError)
    assert str(error).startswith(f"{os.strerror(number)}: /mnt/x. ")
