"""Prints what was measured beside what was asked for; what was not measured has no row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Bench = Any

HEAD = "| what | bar | measured | against the peer | peer |\n|---|---|---|---|---|"
Row = tuple[str, str, str, str, str]


def table(bench: Bench) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"Corpus: {bench.notes['size']}. MB of UTF-8 text per second of CPU on one core, medians; peers likewise."
    yield ""
    yield HEAD
    for part in (near, filters, encoding, scrubbing, stages, workers, memory, again):
        for row in part(bench):
            yield "| " + " | ".join(row) + " |"


def met(is_met: bool) -> str:
    return "met" if is_met else "NOT MET"


def at_least(bench: Bench, name: str, wanted: float) -> str:
    return f"{bench.rate(name):.1f} MB/s ({met(bench.rate(name) >= wanted)})"


def against(bench: Bench, ours: str, theirs: str, wanted: float) -> str:
    if not bench.rate(theirs):
        return "-"
    times = bench.rate(ours) / bench.rate(theirs)
    return f"{times:.1f} times ({met(times >= wanted)})"


def near(bench: Bench) -> Iterator[Row]:
    if bench.rate("near"):
        what, peer = "near-duplicates, read to write", f"datatrove, 4 steps: {bench.rate('datatrove_minhash'):.2f}"
        measured = f"{bench.rate('near'):.1f} MB/s"
        yield what, "100 x datatrove", measured, against(bench, "near", "datatrove_minhash", 100), peer
        peer = f"gaoya: {bench.rate('gaoya'):.1f}; text-dedup: {bench.rate('text_dedup'):.2f}"
        yield what, "55 MB/s, 2.5 x gaoya", at_least(bench, "near", 55), against(bench, "near", "gaoya", 2.5), peer
    if "pairs" in bench.notes:
        yield "its quality, exact 5-gram Jaccard as truth", "recall 0.99, precision 0.97", bench.notes["pairs"], "", ""


def filters(bench: Bench) -> Iterator[Row]:
    peer = f"datatrove: {bench.rate('datatrove_filters'):.2f}"
    for name, wanted, times in (("cold", 15, 50), ("new", 15, 50), ("seen", 35, 120)):
        ours = f"filters {name}"
        if bench.rate(ours):
            what = {"cold": "new text, empty memo", "new": "new text, filled memo", "seen": "seen text"}[name]
            times_ = against(bench, ours, "datatrove_filters", times)
            yield f"four filters, {what}", f"{wanted} MB/s, {times} x", at_least(bench, ours, wanted), times_, peer
    if "verdicts" in bench.notes:
        yield "verdicts equal to datatrove's", "99.8 % each", bench.notes["verdicts"], "", ""


def encoding(bench: Bench) -> Iterator[Row]:
    for name, cold, warm in (("wordpiece", 30, 90), ("bpe", 25, 50)):
        peer = f"datasets.map {name}"
        for state, wanted in (("cold", cold), ("cold, all", cold), ("warm", warm)):
            ours = f"encode {name} {state}"
            if bench.rate(ours):
                what = {"cold": "empty memo, 60 MB", "cold, all": "empty memo, all", "warm": "filled memo"}[state]
                times = against(bench, ours, peer, 10)
                measured, shown = at_least(bench, ours, wanted), f"datasets.map: {bench.rate(peer):.2f}"
                yield f"encode, {name} 16k, {what}", f"{wanted} MB/s, 10 x", measured, times, shown
        if f"encode {name} check" in bench.notes:
            yield f"ids, {name}", "all equal", bench.notes[f"encode {name} check"], "", ""


def scrubbing(bench: Bench) -> Iterator[Row]:
    if bench.rate("scrub"):
        peer = f"re: {bench.rate('scrub_re'):.1f}"
        yield "scrub, 8 kinds", "70 MB/s", at_least(bench, "scrub", 70), against(bench, "scrub", "scrub_re", 1), peer


def summed_peers(bench: Bench, kind: str) -> float:
    """MB/s of datatrove's filters, `re`, datatrove's MinHash and datasets.map one after the other.

    Each has only as much text to go over as bmtool's step before it left. Reading and writing is in each of them.
    """
    names = ("datatrove_filters", "scrub_re", "datatrove_minhash", "datasets.map wordpiece")
    rates = [bench.rate(name) for name in names]
    if not all(rates):
        return 0.0
    filtered, kept = bench.shares[kind]
    return 1 / sum(share / rate for share, rate in zip((1, filtered, filtered, kept), rates, strict=True))


def stages(bench: Bench) -> Iterator[Row]:
    for kind in ("lenient", "default"):
        for state, bar, aim in (("cold", 8, 12), ("warm", 16, 20)):
            measured = bench.rate(f"stage {kind} {state}")
            if measured:
                peer = summed_peers(bench, kind)
                stays = f"{100 * bench.shares[kind][1]:.0f} % of the text stays"
                yield (
                    f"whole stage, {kind} limits ({stays}), {state}",
                    f"{bar} MB/s, aim {aim}",
                    at_least(bench, f"stage {kind} {state}", bar),
                    f"{measured / peer:.0f} times" if peer else "-",
                    f"peers, summed: {peer:.2f}" if peer else "",
                )


def workers(bench: Bench) -> Iterator[Row]:
    for size in ("packed", "1 GB plain", "1 GB packed"):
        if bench.rate(f"workers 2 {size} wall"):
            times = bench.rate(f"workers 2 {size} wall") / bench.rate(f"workers 1 {size} wall")
            measured = f"{times:.2f} times by the clock ({met(times >= 1.8)}), {bench.notes[f'workers {size}']}"
            yield f"two workers, {size}", "1.8 x one", measured, "", ""


def memory(bench: Bench) -> Iterator[Row]:
    for count in (1, 2):
        big, small = (
            max(bench.rate(f"memory {size} MB, {count} workers: {which}") for which in ("all processes", "largest"))
            for size in (1000, 100)
        )
        if big:
            measured = f"{big:.0f} MB, growth {big - small:.0f} MB ({met(big <= 1500 and big - small < 300)})"
            yield f"memory, workers: {count}", "1 GB within 1,500 MB; growth under 300 MB", measured, "", ""


def again(bench: Bench) -> Iterator[Row]:
    full, same, more = (bench.rate(f"again {name}, CPU s") for name in ("full", "unchanged", "1 % more"))
    if same:
        yield "1 GB unchanged", "0.4 s of CPU", f"{same:.2f} s ({met(same <= 0.4)})", "", ""
    if more:
        measured = f"{100 * more / full:.1f} % ({met(more <= 0.05 * full)}), {bench.notes.get('again bytes', '')}"
        yield "1 % more rows", "5 % of the full time", measured, "", ""
