"""The `kpsbatch` command: its subcommands, how errors are shown, exit statuses."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

import kpsbatch
from kpsbatch.commands.options import HelpfulCommand, HelpfulGroup, as_command, flag
from kpsbatch.errors import KpsbatchError, printable, without_opencv

MANY = ("--signers", "--splits", "--signs", "--set")
"""Options that take several values: `--signers 01 02`."""

TYPER_INTERRUPTED = 130
"""Exit status of Typer after a KeyboardInterrupt, which it does not pass on."""

COMMANDS = {
    "Prepare": ("demo", "init", "check", "scan", "plan", "models", "schema"),
    "Run": ("extract", "run", "submit"),
    "Look": ("status", "logs", "view", "report", "preview", "inspect"),
    "Hand over": ("export",),
    "Maintain": ("verify", "import"),
}
"""By the heading of the main help."""

MODULES = {"inspect": "inspect_file", "import": "import_outputs"}
"""Modules and functions of commands that can't have the command's name."""


def program(only: str = "") -> typer.Typer:
    """The command line.

    Args:
        only: A command; the files of the others are not read then. Default all.
    """
    app = typer.Typer(
        name="kpsbatch",
        cls=HelpfulGroup,
        help="Sign-language video datasets to MediaPipe keypoints, on one machine or a SLURM cluster.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_options)
    for panel, names in COMMANDS.items():
        for name in names:
            if name == only or not only:
                function = MODULES.get(name, name)
                command = getattr(import_module(f"kpsbatch.commands.{function}"), function)
                app.command(name, cls=HelpfulCommand, rich_help_panel=panel)(as_command(command))
    return app


def _options(version: Annotated[bool, flag("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"kpsbatch {kpsbatch.__version__}")
        raise typer.Exit()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs the command line and exits with 0, 1, 2 or 3."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal can't show
    known = arguments and any(arguments[0] in names for names in COMMANDS.values())
    try:
        app = program(only=arguments[0] if known else "")
        app(args=spread_values(arguments), prog_name="kpsbatch", standalone_mode=True)
    except KpsbatchError as error:
        if debug:
            raise
        print(f"kpsbatch: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_status)
    except SystemExit as ended:
        if ended.code != TYPER_INTERRUPTED:
            raise
        print("kpsbatch: Stopped. Rerun to resume.", file=sys.stderr)
        sys.exit(3)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ImportError as error:
        if debug or "cv2" not in str(error.path):
            raise
        print(f"kpsbatch: {without_opencv(error)}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {printable(str(error))}"
        print(f"kpsbatch: unexpected {what} (--debug shows where)", file=sys.stderr)
        sys.exit(2)


def spread_values(arguments: Sequence[str]) -> list[str]:
    """Write `--signers 01 02` as `--signers 01 --signers 02`; values end at an option or at a YAML file."""
    spread: list[str] = []
    option = ""
    fresh = False
    for position, argument in enumerate(arguments):
        if argument == "--":
            return spread + list(arguments[position:])
        if argument in MANY:
            option, fresh = argument, True
            spread.append(argument)
        elif option and not argument.startswith("-") and not argument.lower().endswith((".yaml", ".yml")):
            spread += [argument] if fresh else [option, argument]
            fresh = False
        else:
            option = ""
            spread.append(argument)
    return spread
