"""What commands print about their results."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kpsbatch.config import Config, format_signs
from kpsbatch.errors import printable
from kpsbatch.look.usage import used_of_run
from kpsbatch.words import (
    JSON_VERSION,
    UNIT_STATES,
    Part,
    counted,
    gap_of,
    print_lines,
    say,
    say_json,
    show_duration,
    some_of,
    table_lines,
    terminal,
)

if TYPE_CHECKING:
    from kpsbatch.check import Finding
    from kpsbatch.dataset.source import Source
    from kpsbatch.look.estimate import Estimate
    from kpsbatch.look.logs import Task
    from kpsbatch.look.scan import Scan
    from kpsbatch.look.verify import Verdict
    from kpsbatch.store.submissions import Plan

INDENT = 20
"""Columns before the text of a finding."""

STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def print_json(tree: Mapping[str, Any]) -> None:
    """Print a command's result as JSON, one object with `version` first."""
    say_json({"version": JSON_VERSION, **tree}, indent=1)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what `check` found, a line each and a remedy below where one is needed; then how many are wrong."""
    here = terminal()
    for finding in findings:
        texts = [text for text in (finding.text, finding.remedy) if text]
        if here.is_terminal:  # in a file a line each, whatever its length
            wrapped = (textwrap.wrap(text, max(20, here.width - INDENT), break_on_hyphens=False) for text in texts)
            texts = [line for lines in wrapped for line in lines]
        state = (finding.state, STYLES[finding.state])
        first: list[Part] = [state, (f"{'':<{9 - len(finding.state)}}{finding.check:<11}{texts[0]}", "")]
        print_lines([first, *([(" " * INDENT + text, "")] for text in texts[1:])], here)
    counts = Counter(finding.state for finding in findings)
    problems, warnings = counted(counts["problem"], "problem"), counted(counts["warning"], "warning")
    say(f"{problems}, {warnings}" if counts["problem"] or counts["warning"] else "Everything is fine.")


def print_estimate(config: Config, estimate: Estimate) -> None:
    """Print what was measured, the cost of the whole dataset, and the settings that follow from it."""
    hours, minutes = divmod(estimate.time_minutes, 60)
    at_once = min(estimate.tasks, config.slurm.array_parallelism)
    hours_of_core = estimate.core_hours
    cost = f"{hours_of_core:.1f} core-hours" if hours_of_core >= 0.1 else f"{60 * hours_of_core:.1f} core-minutes"
    if estimate.tasks == 1:
        advice = f"one task is enough: {show_duration(estimate.task_seconds)}"
    else:
        advice = (
            f"{counted(estimate.tasks, 'array task')} of {counted(estimate.chunk_size, 'sign')}, "
            f"{show_duration(estimate.task_seconds)} each; "
            f"{show_duration(estimate.task_seconds * -(-estimate.tasks // at_once))} in all with {at_once} at once"
        )
    npz, kept = (size * estimate.dataset_videos / 1e9 for size in (estimate.npz_bytes, estimate.full_bytes))
    full = f"and {kept:,.2f} GB of all landmarks (output.keep: full)" if kept else "all landmarks are not kept"
    say(
        f"measured: {estimate.unit.name}, {counted(estimate.videos, 'video')}, {counted(estimate.frames, 'frame')}: "
        f"{estimate.frames_per_core_second:.1f} frames a second and core, {estimate.core_seconds:.2f} s of a core for "
        f"a video, {estimate.worker_megabytes} MB a worker\n"
        f"dataset:  {counted(estimate.dataset_videos, 'video')} of {counted(estimate.signs, 'sign')}: "
        f"{cost} on cores like these\n"
        f"outputs:  {npz:,.2f} GB, {full}\n"
        f"advice:   {advice} on {counted(config.slurm.cpus_per_task, 'core')}. In the config:\n\n"
        f"run:\n  chunk_size: {estimate.chunk_size}\n"
        f'slurm:\n  time: "{hours:02d}:{minutes:02d}:00"\n  cpus_per_task: {config.slurm.cpus_per_task}\n'
        f"  mem: {estimate.memory_gigabytes}G"
    )


def print_plan(config: Config, plan: Plan) -> None:
    """Print how much a submission does, and what is finished or can't be done."""
    missing = f", {plan.missing} have no video" if plan.missing else ""
    if plan.shards:
        shards = counted(len(plan.shards), "shard")
        say(f"{counted(plan.units, 'unit')} in {shards}; {plan.finished} finished before{missing}")
        return
    say(f"Nothing to do: {counted(plan.finished, 'unit')} finished{missing}.\noutputs: {config.output.root}")
    if plan.failing:
        say(f"units with failed videos: {plan.failing}. Fix the data, then submit again with --retry-failed.")


def print_shard_end(plan: Plan, number: int, status: int, units: int, seconds: float) -> None:
    """Print how a shard that ran here ended."""
    how = {0: "finished", 1: "finished, some videos failed", 3: "interrupted"}.get(status, "failed")
    name = f"shard {number} of {len(plan.shards)}"
    say(f"{name}: {how}, {counted(units, 'unit')}, {show_duration(seconds)}")


def print_task(task: Task, lines: int) -> None:
    """Print a task's state and the last lines of its log."""
    place = " ".join(part for part in (f"job {task.job}" if task.job else "", task.node) if part)
    used = used_of_run(task.run) if task.run is not None else ""
    say(", ".join(part for part in (task.name, place, task.outcome, task.counts, used) if part))
    if task.error:
        say(f"    {task.error}")
    for line in task.tail(lines):
        say(f"  | {line}")
    if task.log and task.needs_attention:
        say(f"    whole log: {task.log}")


def print_scan(config: Config, scan: Scan, *, frames: bool) -> None:
    """Print what a dataset holds; `frames`: whether they were counted."""
    here = terminal()
    say(f"dataset: {config.dataset.root}")
    print_lines(table_lines(_scan_rows(scan, frames), numbers_from=2, gap=gap_of(here.width)), here)
    if scan.excluded:
        say(f"left out by dataset.exclude: {counted(scan.excluded, 'video')}")
    if scan.not_excluded:
        names = some_of(scan.not_excluded, 3)
        say(f"dataset.exclude: the dataset has no {names}. Correct the names, or remove them.")
    if scan.outside:
        what = "inside leaves them out" if config.dataset.follow_links == "anywhere" else "inside, so not read"
        say(f"links lead out of it, to: {', '.join(scan.outside)} (dataset.follow_links: {what})")
    if scan.row_sum:
        say(f"table: {scan.row_sum}")
    if scan.bad_rows:
        say(f"{counted(len(scan.bad_rows), 'row')} of the table can't be used:")
        for row, problem in scan.bad_rows:
            say(printable(f"  {row}: {problem}"))
    if scan.noted_rows:
        say(f"{counted(len(scan.noted_rows), 'row')} of the captions may not be what was meant:")
        for row, note in scan.noted_rows:
            say(printable(f"  {row}: {note}"))
    for (signer, split), group in scan.groups.items():
        for state, missing in (("absent", group.absent), ("empty", group.empty)):
            if missing:
                kind = "signs" if scan.has_signs else "units"
                say(f"{UNIT_STATES[state]} in {signer} {split}: {kind} {format_signs(missing)}")
    if scan.odd_counts:
        say("odd: " + ", ".join(f"{count} x {problem}" for problem, count in scan.odd_counts.most_common()))
        for path, problem in scan.odd:
            say(f"  {path}: {problem}")
        if (more := sum(scan.odd_counts.values()) - len(scan.odd)) > 0:
            say(f"  ... and {more} more")


def print_labels(source: Source) -> None:
    """Say, on standard error, that the labels of a table tell no classes, where that is so."""
    if problem := source.label_problem:
        say(printable(f"kpsbatch: classes: {problem}"), error=True)


def _scan_rows(scan: Scan, frames: bool) -> list[list[Part]]:
    unit = "sign" if scan.has_signs else "unit"
    headings = (
        "signer",
        "split",
        f"{unit}s",
        "videos",
        f"a {unit}",
        "frames",
        UNIT_STATES["absent"],
        UNIT_STATES["empty"],
    )
    rows: list[list[Part]] = [[(heading, "bold") for heading in headings]]
    for (signer, split), group in scan.groups.items():
        cells = (
            signer,
            split,
            f"{group.units}",
            f"{group.videos}" + (f" ({counted(group.files, 'file')})" if group.files else ""),
            f"{group.fewest}-{group.most}" if group.fewest != group.most else f"{group.most}",
            f"{group.frames}" if frames else "-",
            f"{len(group.absent)}",
            f"{len(group.empty)}",
        )
        rows.append([(cell, "") for cell in cells])
    return rows


def print_verdict(verdict: Verdict, again: str = "", *, repair: bool = False) -> None:
    """Print what is wrong with which output, and what to do; `again` does what is left, "" where no config is known."""
    for problem in [*verdict.news, *verdict.problems]:
        say(printable(f"{problem.name}: {problem.text}"))
    units = {problem.unit for problem in verdict.problems}
    damaged = len(units - {None})
    people = f" with {counted(verdict.people, 'person', 'people')}" if verdict.people > verdict.videos else ""
    checked = f"Checked {counted(verdict.units, 'unit')} ({counted(verdict.videos, 'video')}{people})"
    say(f"{checked}: {counted(damaged, 'unit')} damaged." if units else f"{checked}: no damage.")
    if replaced := len({news.unit for news in verdict.news} - set(verdict.left)):
        say(f"{counted(replaced, 'unit')} with replaced files. To redo these videos, run with --overwrite.")
    if verdict.failed_videos:
        failed = counted(verdict.failed_videos, "video")
        say(f"{failed} failed when they were made. Fix the data, then run with --retry-failed.")
    for why, count in Counter(why for _, why in verdict.kept).items():
        say(f"--repair leaves {counted(count, 'unit')} alone: {why}")
    if verdict.repaired:
        say(f"{counted(len(verdict.repaired), 'unit')} removed. Next: {again}")
    elif not repair and units - {unit for unit, _ in verdict.kept}:
        how = "add --repair" if again else "verify with its config and --repair"
        say(f"To remove what is damaged, so that the next run redoes it, {how}.")
    if verdict.left:
        next_command = "" if verdict.kept else f" Next: {again}"  # a run would refuse outputs of other settings
        say(f"{counted(len(verdict.left), 'unit')} not done yet.{next_command}")
