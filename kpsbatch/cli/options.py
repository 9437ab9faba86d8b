"""Options that several commands share, each declared once, and how they become a command's parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Optional, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from kpsbatch.errors import ConfigError

MANY = ("--signers", "--splits", "--signs", "--set")
"""Options that take several values: `--signers 01 02`."""

SELECTION_PANEL = "Settings and selection"


def flag(*names: str, help: str, panel: str | None = None) -> Any:
    """An option without a value."""
    return typer.Option(*names, help=help, rich_help_panel=panel)


Quiet = Annotated[bool, flag("--quiet", "-q", help="Show no progress.")]
AsJson = Annotated[bool, flag("--json", help="Print JSON, for scripts (docs/json.md).")]
Overwrite = Annotated[
    bool, flag("--overwrite", help="Replace outputs of other settings, of another dataset, or of replaced files.")
]
RetryFailed = Annotated[bool, flag("--retry-failed", help="Redo units with failed videos, too.")]
NoPictures = Annotated[
    bool, flag("--no-pictures", help="Show no frames of videos: keypoints alone, for pages you send to other people.")
]
_Debug = Annotated[bool, flag("--debug", help="Show a traceback with an error.")]


class HelpfulCommand(TyperCommand):
    """A command whose help shows no types of flags, and no braces around what must be given."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The arguments and options, --help among them."""
        return without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of a command line.

        Raises:
            ConfigError: A value is unusable, or an argument is missing that an option of several values may have taken.
        """
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if type(error).__name__ != "MissingParameter" and error.param is not None:
                told = error.message.rstrip(".")
                name = error.param.opts[0] if error.param.param_type_name == "option" else error.param.metavar
                raise ConfigError(f"{name}: {told[:1].lower()}{told[1:]}. Correct the value.") from None
            option = words[-2] if len(words) > 1 else ""
            if type(error).__name__ != "MissingParameter" or error.param is None or option not in MANY:
                raise
            name = error.param.metavar or error.param.name
            raise ConfigError(
                f"{name} is missing: {words[-1]!r} counts as a value of {option}, which takes all that follow. Put "
                f"{name} before {option}."
            ) from None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line: `CONFIG`, where Typer writes `{CONFIG}`."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


def without_types(parameters: list[Any]) -> list[Any]:
    """Let the help of flags show no type."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """Turn a function into one from which Typer can make a command.

    A parameter whose type is a dataclass is replaced by the options that are the dataclass's fields, and the function
    gets an instance of it. `--debug` is added, which `main` looks for.

    Args:
        function: Its parameters are annotated as Typer wants them, or with a dataclass of such fields.
    """
    hints = {  # Python 3.10 hides an option in an Optional where the default is None
        name: next((inner for inner in get_args(kind) if get_origin(inner) is Annotated), kind)
        for name, kind in get_type_hints(function, include_extras=True).items()
    }
    groups: dict[str, type] = {}
    parameters: list[Parameter] = []
    for parameter in signature(function).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind) and isinstance(kind, type):
            groups[parameter.name] = kind
            parameters += _parameters_of(kind)
        else:
            parameters.append(parameter.replace(annotation=kind, kind=Parameter.KEYWORD_ONLY))
    parameters.append(Parameter("debug", Parameter.KEYWORD_ONLY, default=False, annotation=_Debug))

    def command(*, debug: bool, **values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        function(**values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return command


def _parameters_of(group: type) -> list[Parameter]:
    """The fields of a dataclass, as parameters."""
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


Jobs = Annotated[
    Optional[int],
    typer.Option("--jobs", "-j", metavar="N", min=1, help="Worker processes; short for --set run.workers=N."),
]
