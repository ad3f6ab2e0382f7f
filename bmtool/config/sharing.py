"""What can't be trained with weights that processes share out among them: a file says so before anything is made."""

from __future__ import annotations


def unshareable(optim: str, *, has_several_tasks: bool) -> tuple[str, str]:
    """Why each process must hold all weights, in short, and what to do about it; both are empty where it needn't."""
    if optim == "muon":  # it makes a whole matrix of gradients orthogonal
        return "muon needs whole matrices", (
            "always lets each process hold some rows of a weight, and optim muon needs whole matrices. Set optim to "
            "adamw, or runtime.fsdp to never"
        )
    if has_several_tasks:  # processes whose batches are of different tasks have gradients of other heads
        return "several heads", (
            "always adds up gradients that all processes have, and with several tasks each has those of the heads that "
            "it used. Set runtime.fsdp to never, or fine-tune the tasks apart"
        )
    return "", ""
