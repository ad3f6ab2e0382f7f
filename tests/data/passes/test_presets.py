import pyarrow as pa
import pytest
from bmtool.config.model import Choose
from bmtool.data.passes.presets import PRESETS, settings_of
from bmtool.data.text.documents import Documents
from bmtool.data.text.scrub import scrub
from bmtool.registry import CLEANERS, FILTERS, SCRUBBERS

KINDS = {"clean": CLEANERS, "filters": FILTERS, "scrub": SCRUBBERS}

PROSE = """The committee met for the first time in the spring of that year, and it soon became clear that the \
work would take longer than anyone had thought. The members had little in common but their interest in old maps.

Some of them wanted to publish the maps at once. Others thought that the errors in them should be put right first, \
and that it would be better to wait until the survey was done. In the end they did both: a book came out in autumn.

It sold well, which surprised its authors. A second edition with new drawings followed two years later. By then the \
survey had been finished, and it had shown that the oldest of the maps was also the best one."""

MANUAL = """Usage: tool [options] FILE...

  -o FILE    write the result to FILE instead of standard output
  -v         say what is done; twice: say more
  --depth N  go down N folders at most (default: 3)

Return value: 0 on success, 1 if a FILE couldn't be read, 2 if an option is wrong."""

PROGRAM = '''def mean(values: list[float]) -> float:
    """The arithmetic mean."""
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)


print({name: mean(row) for name, row in {"a": [1.0, 2.5], "b": [3.25]}.items()})
'''

MINIFIED = "!function(e,t){" + "var n={},r=t(e);n.x=r||0;" * 60 + "}(this);"


def components(preset, key):
    choose = Choose(KINDS[key])
    return [choose(setting) for setting in settings_of(preset)[key]]


def prepared(preset, text):
    """The text as the preset leaves it, and the names of the filters that drop it."""
    texts = pa.array([text], pa.string())
    for cleaner in components(preset, "clean"):
        texts = cleaner.clean(texts)
    dropped = [one.name() for one in components(preset, "filters") if one.judge(Documents(texts)).rule[0] >= 0]
    return scrub(texts, components(preset, "scrub")).texts[0].as_py(), dropped


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("key", KINDS)
def test_every_line_is_a_component_with_a_reason(preset, key):
    assert len(components(preset, key)) == len(PRESETS[preset][key]) > 0
    assert all(len(choice.why) > 10 or choice.why == "likewise" for choice in PRESETS[preset][key])


@pytest.mark.parametrize(
    ("preset", "text", "stays"),
    [
        ("web", PROSE, True),
        ("web", MANUAL, False),
        ("web", PROGRAM, False),
        ("docs", PROSE, True),
        ("docs", MANUAL, True),
        ("docs", "| 1 | 22 | 333 |\n" * 40, False),
        ("code", PROGRAM, True),
        ("code", MINIFIED, False),
        ("code", "0x00, 0x1f, 0x8b, 0x08,\n" * 40, False),
    ],
)
def test_a_preset_keeps_its_kind_of_text(preset, text, stays):
    assert (not prepared(preset, text)[1]) == stays


def test_programs_keep_their_white_space_and_numbers():
    text = PROGRAM + "TIMEOUT = 4111111111111111  # a@b.org\n"

    assert prepared("code", text)[0] == text.replace("a@b.org", "[EMAIL]")


def test_pages_lose_what_belongs_to_the_page():
    page = f"Home\n\n\n{PROSE}\n\nThis site uses cookies.\nMail a@b.org  now."

    assert prepared("web", page)[0] == f"{PROSE}\n\nMail [EMAIL] now."
