import signal

import pytest


@pytest.fixture
def interruptible():
    """Ctrl-C raises, as in a command of its own; workers of pytest-xdist, and what runs behind a `&`, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
