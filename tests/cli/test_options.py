"""Options of the commands that look at results: one name for one thing."""

from __future__ import annotations

import shlex

import pytest
from factories import call

from kpsbatch.cli.main import COMMANDS, EXAMPLES, load, spread_values

LOOKING = ("report", "preview", "view")
PREPARING = ("run", "scan", "status", "extract", "inspect")


def options_of(command: str) -> dict[str, str]:
    """The options of a command, each with its help."""
    return {
        name: option.help
        for option in load(command).params
        for name in option.opts
        if name.startswith("--") and option.help
    }


@pytest.mark.parametrize(
    "name", ["--signers", "--splits", "--signs", "--set", "--adjusted", "--no-pictures", "--output"]
)
def test_looking_commands_have_it(name):
    """report, preview and view choose, write and leave out by the same names."""
    assert all(name in options_of(command) for command in LOOKING)


def test_one_meaning():
    """An option of several commands means the same in each; where it writes to depends on what is written."""
    found: dict[str, set[str]] = {}
    for command in LOOKING:
        for name, help in options_of(command).items():
            found.setdefault(name, set()).add(help)
    differing = {name for name, helps in found.items() if len(helps) > 1}
    assert differing == {"--output"}
    assert found["--no-pictures"] == {options_of("extract")["--no-pictures"]}


def test_old_names_are_gone():
    """There is no second name for a signer, a split, a sign or an empty canvas."""
    for command in (*LOOKING, *PREPARING):
        assert not {"--sign", "--signer", "--split", "--blank"} & set(options_of(command))


def test_examples() -> None:
    """Every command has examples in its help, each of which it takes."""
    assert set(EXAMPLES) == set(COMMANDS)
    for name, examples in EXAMPLES.items():
        assert any(example.split()[0] == name for example in examples), name
        for example in examples:
            words = spread_values(shlex.split(example))
            if "list" not in words:  # which prints and ends
                load(words[0]).make_context(words[0], words[1:])


def test_a_value_out_of_range(capsys: pytest.CaptureFixture[str]) -> None:
    """What an option can't be is one line of ours."""
    for words, said in (
        (("run", "config.yaml", "-j", "0"), "kpsbatch: --jobs: input should be greater than or equal to 1. Correct"),
        (("report", "config.yaml", "--samples", "x"), "kpsbatch: --samples: "),
    ):
        status, text = call(capsys, *words)
        assert status == 2
        assert text.startswith(said)
        assert text.endswith("Correct the value.\n")
        assert text.count("\n") == 1
