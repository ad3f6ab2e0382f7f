"""What bmtool and its peers share: sizes of models, rows of the table, and how many operations training needs."""

from dataclasses import dataclass, field

VOCABULARY = 16384
#: Layers, width, heads.
SIZES = {"mini": (4, 256, 4), "small": (6, 512, 8)}

#: No bfloat16 and no AVX-512, as most CI runners. MKL doesn't listen to the first two.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


@dataclass(frozen=True)
class Row:
    """A workload, and what bmtool must reach against the three peers."""

    title: str
    task: str
    size: str
    length: int
    precision: str = "bf16"
    environment: dict[str, str] = field(default_factory=dict)
    bars: tuple[float, ...] = ()
    documents: int = 4000
    """Peers with length grouping go over so many once: their longest batches come first."""


ROWS = {
    "mini": Row("MLM BERT 4x256, seq 128", "mlm", "mini", 128, bars=(6.0, 4.5, 3.0)),
    "avx2": Row("same, AVX2 only, float32", "mlm", "mini", 128, "fp32", AVX2, (4.7, 4.2, 2.9)),
    "long": Row("MLM BERT 4x256, seq 512", "mlm", "mini", 512, bars=(16, 9)),
    "small": Row("MLM BERT 6x512, seq 128", "mlm", "small", 128, bars=(4.2, 2.4), documents=2000),
    "gpt": Row("CLM GPT 4x256, seq 512", "clm", "mini", 512, bars=(3.0, 1.8)),
}


def useful_flops(task: str, size: str, tokens: float, squared_lengths: float, predicted: float) -> float:
    """Floating-point operations that training needs: the forward pass three times.

    Twelve matrices of width x width a layer, attention inside documents only, and only where a token is predicted the
    vocabulary's matrix and, of a masked model, the nine of the last layer that come behind its attention.
    """
    layers, width, _ = SIZES[size]
    last = 9 if task == "mlm" else 0
    linear = (tokens * (12 * layers - last) + predicted * last) * width**2 * 2
    attention = layers * 4 * width * squared_lengths * (0.5 if task == "clm" else 1)
    head = predicted * (2 * width * VOCABULARY + (2 * width**2 if task == "mlm" else 0))
    return 3 * (linear + attention + head)
