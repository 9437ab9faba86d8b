"""The `kpsbatch` command: its subcommands, how errors are shown, exit statuses."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import kpsbatch
from kpsbatch.commands.check import check
from kpsbatch.commands.demo import demo
from kpsbatch.commands.export import export
from kpsbatch.commands.extract import extract
from kpsbatch.commands.import_outputs import import_outputs
from kpsbatch.commands.init import init
from kpsbatch.commands.inspect_file import inspect_file
from kpsbatch.commands.logs import logs
from kpsbatch.commands.models import models
from kpsbatch.commands.options import HelpfulCommand, HelpfulGroup, as_command, flag
from kpsbatch.commands.plan import plan
from kpsbatch.commands.preview import preview
from kpsbatch.commands.report import report
from kpsbatch.commands.run import run
from kpsbatch.commands.scan import scan
from kpsbatch.commands.schema import schema
from kpsbatch.commands.status import status
from kpsbatch.commands.submit import submit
from kpsbatch.commands.verify import verify
from kpsbatch.commands.view import view
from kpsbatch.errors import KpsbatchError, printable

MANY = ("--signers", "--splits", "--signs", "--set")
"""Options that take several values: `--signers 01 02`."""

TYPER_INTERRUPTED = 130
"""Exit status of Typer after a KeyboardInterrupt, which it does not pass on."""

COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Prepare": {
        "demo": demo,
        "init": init,
        "check": check,
        "scan": scan,
        "plan": plan,
        "models": models,
        "schema": schema,
    },
    "Run": {"extract": extract, "run": run, "submit": submit},
    "Look": {
        "status": status,
        "logs": logs,
        "view": view,
        "report": report,
        "preview": preview,
        "inspect": inspect_file,
    },
    "Hand over": {"export": export},
    "Maintain": {"verify": verify, "import": import_outputs},
}
"""By the heading of the main help."""

app = typer.Typer(
    name="kpsbatch",
    cls=HelpfulGroup,
    help="Sign-language video datasets to MediaPipe keypoints, on one machine or a SLURM cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for panel, commands in COMMANDS.items():
    for name, function in commands.items():
        app.command(name, cls=HelpfulCommand, rich_help_panel=panel)(as_command(function))


@app.callback(invoke_without_command=True)
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
    try:
        app(args=spread_values(arguments), prog_name="kpsbatch", standalone_mode=True)
    except KpsbatchError as error:
        if debug:
            raise
        print(f"kpsbatch: {_one_line(error)}", file=sys.stderr)
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
        print(
            f"kpsbatch: OpenCV can't be imported ({_one_line(error)}). On a machine without a desktop, run "
            "`pip uninstall -y opencv-contrib-python` and then `pip install opencv-python-headless==4.11.0.86`.",
            file=sys.stderr,
        )
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {_one_line(error)}"
        print(f"kpsbatch: unexpected {what} (--debug shows where)", file=sys.stderr)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    """An error's text; paths in it can hold line breaks."""
    return printable(str(error))


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
