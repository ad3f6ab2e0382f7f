"""A run that is asked to stop in the middle."""


class StopsAfter:
    """Has a reason to stop once it was asked `times` times."""

    def __init__(self, times):
        self.times = times

    @property
    def reason(self):
        self.times -= 1
        return "SIGTERM" if self.times < 0 else ""
