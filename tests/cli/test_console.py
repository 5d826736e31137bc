"""What the commands print, whoever wrote the words."""

from __future__ import annotations

import pytest

from sealwire.cli import console


@pytest.mark.parametrize("say", [console.print_error, console.print_note])
def test_foreign_words_do_not_command_the_terminal(
    say: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a server's message the control characters are shown, and lines stay lines."""
    assert callable(say)
    say("before\x1b]0;title\x07\x9b2J[bold]\nnext")
    shown = capsys.readouterr().err
    assert shown.endswith("before\\x1b]0;title\\x07\\x9b2J[bold]\nnext\n")
