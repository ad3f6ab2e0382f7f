from bmtool.console import Console


def test_without_a_terminal_a_line_has_no_control_characters(capsys):
    Console().say("a file named \x1b[31mred\x07")

    assert capsys.readouterr().err == "a file named \ufffd[31mred\ufffd\n"


def test_quiet_says_nothing_but_warnings_and_errors(capsys):
    console = Console(quiet=True)
    console.say("said")
    console.detail("detail")
    console.warn("careful")
    console.error("broken")

    assert capsys.readouterr().err == "warning: careful\nerror: broken\n"


def test_details_need_verbose(capsys):
    Console().detail("one")
    Console(verbose=True).detail("two")

    assert capsys.readouterr().err == "two\n"


def test_progress_without_a_terminal_says_a_line_only_every_half_minute(capsys):
    with Console().progress("training", total=4) as progress:
        progress.advance(1, loss="2.0")
        progress.said -= 31
        progress.advance(1, loss="1.5")
        progress.advance(1)

    assert capsys.readouterr().err == "training: 50% loss 1.5\n"
