"""The config of a command, the settings changed on the command line, and the selected units."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Optional

import typer

from kpsbatch.cli.options import SELECTION_PANEL, flag
from kpsbatch.config import Config, DatasetConfig, format_signs, load_config, make_config, parse_signs
from kpsbatch.config.loading import read_yaml
from kpsbatch.dataset.init_config import output_root, recipe_like, recipe_text
from kpsbatch.dataset.source import INDEX_FOLDER, open_source
from kpsbatch.dataset.tables import load_labels
from kpsbatch.dataset.video import natural_key
from kpsbatch.errors import ConfigError
from kpsbatch.store.submissions import kept_config, read_kept_config
from kpsbatch.words import program, some_of

ADJUSTED = "landmarks.coordinates=adjusted"
MOST_SHOWN = 12


def _option(name: str, metavar: str, help: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help, rich_help_panel=SELECTION_PANEL)


Overrides = Annotated[
    Optional[list[str]],
    _option("--set", "KEY=VALUE...", "Change settings, such as run.workers=4."),
]

Video = Annotated[
    Optional[str],
    typer.Option(metavar="NAME", help="The video: its name, or a part of 01-train/0007: NAME."),
]


@dataclass(frozen=True)
class ConfigFile:
    """A config, and the settings changed on the command line.

    Attributes:
        takes_outputs: Whether a folder of outputs does as well: the config that a run has kept there counts. Whoever
            gave the folder away can have written that config, so no pictures are read from where it says.
    """

    takes_outputs: ClassVar[bool] = False

    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML config.")]
    overrides: Overrides = None
    adjusted: Annotated[bool, flag("--adjusted", help="Coordinates relative to the body.", panel=SELECTION_PANEL)] = (
        False
    )

    def load(self) -> Config:
        """Read the config.

        Raises:
            ConfigError: The file, an override or the selection is unusable.
        """
        changes = [*(self.overrides or ()), *([ADJUSTED] if self.adjusted else ())]
        if not (self.takes_outputs and kept_config(self.config).is_file()):
            return self._read(changes)
        if changes:
            raise ConfigError(
                "--set and --adjusted work only with a config, not with a folder of outputs. Leave them out."
            )
        return read_kept_config(self.config)

    def _read(self, changes: Sequence[str]) -> Config:
        """The config of the YAML file, changed."""
        return load_config(self.config, changes)

    def command(self, name: str) -> str:
        """The command line of another command, with the same config, settings and selection."""
        return f"{program()} {shlex.join(self.words(name))}"

    def words(self, name: str) -> list[str]:
        """The words of that command line, without the program."""
        return [name, str(self.config), *self.choices()]

    def choices(self) -> Iterator[str]:
        """What is set and selected, as words of a command line."""
        for change in self.overrides or ():
            yield f"--set={change}"  # one word: a value can end in .yaml, see spread_values
        if self.adjusted:
            yield "--adjusted"


@dataclass(frozen=True)
class Selection(ConfigFile):
    """A config and the units of it that are selected; None selects all."""

    signers: Annotated[Optional[list[str]], _option("--signers", "NAME...", "Only these signers.")] = None
    splits: Annotated[Optional[list[str]], _option("--splits", "NAME...", "Only these splits.")] = None
    signs: Annotated[Optional[list[str]], _option("--signs", "RANGE...", "Only these signs, such as 1-10.")] = None
    labels: Annotated[
        Optional[list[str]], _option("--label", "TEXT", "Only videos of this label; repeat it for more.")
    ] = None

    def load(self) -> Config:
        """Read the config and narrow it to what is selected.

        Raises:
            ConfigError: The file, an override or the selection is unusable.
        """
        config = super().load()
        dataset = config.dataset
        chosen: dict[str, Any] = {}
        of_rows = dataset.manifest is not None and dataset.manifest.columns.sign is None
        if self.signers is not None and not of_rows:
            chosen["signers"] = select_names("--signers", self.signers, dataset.signers)
        if self.splits is not None:
            chosen["splits"] = select_names("--splits", self.splits, dataset.splits)
        if self.signs is not None:
            chosen["signs"] = _select_signs(dataset, self.signs)
        narrowed = dataset.narrowed(chosen)
        if dataset.manifest is not None and (self.labels or (self.signers and of_rows)):
            narrowed = self._rows_of(config, narrowed, of_rows=of_rows)
        elif self.labels:
            narrowed = narrowed.narrowed({"signs": _signs_of(narrowed, self.labels)})
        return config.model_copy(update={"dataset": narrowed})

    def _rows_of(self, config: Config, dataset: DatasetConfig, *, of_rows: bool) -> DatasetConfig:
        """The units of a table that hold a video of the labels and signers; a run does them whole.

        Raises:
            ConfigError: No row has one of the names.
        """
        source = open_source(dataset, config.output.root / INDEX_FOLDER)
        labels, signers = self.labels or [], (self.signers or []) if of_rows else []
        rows = [(unit, video) for unit in source.units() for video in source.listing(unit).videos]
        for option, names, there in (
            ("--label", labels, {video.label for _, video in rows}),
            ("--signers", signers, {video.signer for _, video in rows}),
        ):
            if unknown := [name for name in names if name not in there]:
                known = some_of(sorted(filter(None, there), key=natural_key), MOST_SHOWN) or "none"
                raise ConfigError(f"{option}: no row has {unknown[0]!r}. Choose among {known}.")
        wish = dataset.narrowed({}, labels, signers)
        signs = sorted({unit.sign for unit, video in rows if wish.wants(video.label, video.signer)})
        if not signs:
            raise ConfigError("--label, --signers: no row is of both. Choose others.")
        return wish.narrowed({"signs": tuple(signs)})

    def choices(self) -> Iterator[str]:
        """What is set and selected, as words of a command line."""
        yield from super().choices()
        for option, values in (("--signers", self.signers), ("--splits", self.splits), ("--signs", self.signs)):
            if values:
                yield from (option, *values)
        for label in self.labels or ():
            yield from ("--label", label)


NO_CONFIG = Path()
"""Stands for a config that is not named: no file has this path."""

RECIPE_PANEL = "A known dataset, without a config"


@dataclass(frozen=True)
class DatasetSelection(Selection):
    """A config, or a known dataset and where it lies; and the units of it that are selected."""

    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The YAML config; none with --like.", show_default=False)
    ] = NO_CONFIG
    root: Annotated[
        Optional[Path],
        typer.Option(metavar="DIR", help="The dataset: its folder or archive.", rich_help_panel=RECIPE_PANEL),
    ] = None
    like: Annotated[
        Optional[str],
        typer.Option(
            metavar="NAME", help="Its name, such as karsl; init --like list shows all.", rich_help_panel=RECIPE_PANEL
        ),
    ] = None
    output: Annotated[
        Optional[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The folder of outputs; default kps- and the dataset's name.",
            rich_help_panel=RECIPE_PANEL,
        ),
    ] = None

    def _read(self, changes: Sequence[str]) -> Config:
        """The config that is named, or the recipe for the dataset that is named."""
        of_recipe = {"--root": self.root, "--like": self.like, "--output": self.output}
        named = [option for option, value in of_recipe.items() if value is not None]
        if self.config != NO_CONFIG:
            if named:
                raise ConfigError(
                    f"{named[0]} stands in the place of a config, and {self.config} is named too. Leave one of them "
                    "out; --set dataset.root=DIR and --set output.root=OUT change a config."
                )
            return super()._read(changes)
        if self.root is None or self.like is None:
            raise ConfigError("no dataset is named. Name a config, or a dataset: --root DIR --like NAME --output OUT.")
        recipe = recipe_like(self.like)
        text = recipe_text(recipe, self.root, Path(), str(self._outputs(self.root)))
        return make_config(read_yaml(text), changes, base=Path.cwd(), where=f"--like {recipe}: ")

    def _outputs(self, root: Path) -> Path:
        return self.output or Path(output_root(root))

    def words(self, name: str) -> list[str]:
        """The words of another command; of one that looks at results, by their folder."""
        if self.config != NO_CONFIG or self.root is None:
            return super().words(name)
        if name not in ("run", "submit", "plan", "scan"):
            return [name, str(self._outputs(self.root))]
        where = ["--root", str(self.root), "--like", str(self.like), "--output", str(self._outputs(self.root))]
        return [name, *where, *self.choices()]

    def from_anywhere(self) -> DatasetSelection:
        """The same with absolute paths."""
        if self.config != NO_CONFIG or self.root is None:
            return replace(self, config=self.config.absolute())
        return replace(self, root=self.root.absolute(), output=self._outputs(self.root).absolute())


ConfigOrOutputs = Annotated[
    Path, typer.Argument(metavar="CONFIG|OUT", help="The YAML config, or the folder of outputs of a run.")
]


@dataclass(frozen=True)
class RunFile(ConfigFile):
    """A config, or the outputs of a run."""

    takes_outputs: ClassVar[bool] = True

    config: ConfigOrOutputs


@dataclass(frozen=True)
class RunSelection(Selection):
    """A config or the outputs of a run, and the units that are selected."""

    takes_outputs: ClassVar[bool] = True

    config: ConfigOrOutputs


@dataclass(frozen=True)
class Source(Selection):
    """A config and what is selected of it, or outputs without a config."""

    config: Annotated[
        Path, typer.Argument(metavar="CONFIG|NPZ|OUT", help="A config, an output file, or a folder with outputs.")
    ]

    def open(self) -> Config | Path:
        """The config, or the path of the outputs.

        Raises:
            ConfigError: The config is unusable, or there is none for what is selected.
        """
        path = self.config
        if path.suffix.lower() != ".npz" and not path.is_dir() and (path.suffix or path.exists()):
            return self.load()
        if any(choice is not None for choice in (self.overrides, self.signers, self.splits, self.signs, self.labels)):
            raise ConfigError(
                "--set, --signers, --splits, --signs and --label work only with a config. Leave them out, use --video."
            )
        return path


def _signs_of(dataset: DatasetConfig, labels: Sequence[str]) -> tuple[int, ...]:
    """The signs that have these names in `dataset.labels`, in either language.

    Raises:
        ConfigError: There is no table, or it has no such name.
    """
    if dataset.labels is None:
        raise ConfigError(
            "--label: the signs have numbers only. Choose by --signs, or name the table of their names: "
            "--set dataset.labels=FILE."
        )
    names = load_labels(dataset.labels)
    by_name: dict[str, set[int]] = {}
    for sign, label in names.items():
        for name in (label.text, label.english, label.arabic):
            by_name.setdefault(name, set()).add(sign)
    if unknown := [label for label in labels if not label or label not in by_name]:
        known = some_of([label.english or label.arabic for label in names.values()], MOST_SHOWN)
        raise ConfigError(f"--label: {dataset.labels} has no {unknown[0]!r}. Choose among {known}.")
    signs = {sign for label in labels for sign in by_name[label]}
    if dataset.signs and not signs & {*dataset.signs}:
        raise ConfigError(f"--label: the config has no sign of that name. Its signs are {format_signs(dataset.signs)}.")
    return tuple(sorted(signs & {*dataset.signs} if dataset.signs else signs))


def select_names(option: str, names: Collection[str], valid: Sequence[str]) -> tuple[str, ...]:
    """Signers or splits, in the config's order; as they are given where the config has `all`.

    Raises:
        ConfigError: The config has no such name.
    """
    if not valid:
        return tuple(dict.fromkeys(names))
    for name in names:
        if name not in valid:
            raise ConfigError(f"{option}: the config has no {name!r}. Choose among {', '.join(valid)}.")
    return tuple(name for name in valid if name in names)


def _select_signs(dataset: DatasetConfig, texts: Sequence[str]) -> tuple[int, ...]:
    try:
        wanted = parse_signs(",".join(texts))
    except ValueError as error:
        raise ConfigError(f"--signs: {error}") from None
    if dataset.signs and (unknown := set(wanted) - set(dataset.signs)):
        raise ConfigError(
            f"--signs: the config has no {format_signs(unknown)}. Choose among {format_signs(dataset.signs)}, "
            f"or add them with --set dataset.signs={format_signs(wanted)}."
        )
    return wanted
