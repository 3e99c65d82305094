"""What one command taught holds for the others, and help says all that it was told to say."""

from collections.abc import Iterator

import typer
from typer.core import TyperGroup

from steerboard.cli import app

QUESTION = (
    "target", "method", "dictionary", "site", "units", "directions", "tokens", "steps"
)  # fmt: skip


def commands(group: object, name: str = "") -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """All commands by their words."""
    if isinstance(group, TyperGroup):
        for word, found in group.commands.items():
            yield from commands(found, f"{name} {word}".strip())
    elif isinstance(group, typer.core.TyperCommand):
        yield name, group


EVERY = dict(commands(typer.main.get_command(app)))


def test_what_is_asked_is_written_alike_for_a_picture_a_set_and_a_job() -> None:
    asking = [EVERY[name] for name in ("attribute", "trust", "jobs submit")]
    options = [{p.name: (p.opts, p.default, p.help) for p in c.params} for c in asking]
    first, *others = [{name: known[name] for name in QUESTION} for known in options]
    assert all(other == first for other in others)


def test_no_help_has_words_in_brackets_which_are_taken_for_markup() -> None:
    told = {
        (name, option.name): str(getattr(option, "help", ""))
        for name, command in EVERY.items()
        for option in command.params
    }
    assert len(told) > 100
    assert [where for where, words in told.items() if "[" in words] == []
