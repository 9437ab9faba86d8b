"""What a job of `slurm.then` does when all tasks have ended: the commands, then one paragraph about all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from kpsbatch.cli.main import main as kpsbatch
from kpsbatch.errors import KpsbatchError
from kpsbatch.look.status import Status, StatusReader
from kpsbatch.look.usage import usage_lines, usage_of
from kpsbatch.store.submissions import read_kept_config
from kpsbatch.words import counted, say

ENDS = {
    "verify": {0: "found no damage", 1: "found damage, failed videos or units that are left: see above"},
    "report": {0: "has written its page"},
}
"""What the exit status of each command means."""


def main() -> None:
    """Entry point of the job: a folder of outputs, and the commands; ends with 2 where one of them can't do its work.

    What they find is in the paragraph: with a status of 1 srun would write a line behind it.
    """
    root, *commands = sys.argv[1:]
    ended = {command: run_command(command, root) for command in commands}
    try:
        say("\n" + paragraph(StatusReader(read_kept_config(Path(root))).read(), ended))
    except KpsbatchError as error:
        say(f"kpsbatch: {error}", error=True)
        sys.exit(error.exit_status)
    sys.exit(max([0, *(status for status in ended.values() if status > 1)]))


def run_command(command: str, root: str) -> int:
    """Run a command on a folder of outputs; returns its exit status."""
    try:
        kpsbatch([command, root, "--quiet"])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def paragraph(status: Status, ended: Mapping[str, int]) -> str:
    """The whole job in one paragraph: what is finished, what is not, what the commands found, what it cost, what next.

    Args:
        ended: The commands and their exit statuses.
    """
    left, failing = status.count("left"), status.count("partial") + status.count("failed")
    said = [f"{status.count('finished')} of {counted(status.to_do, 'unit')} are finished in {status.output}."]
    if failing:
        said.append(f"Of {counted(failing, 'unit')} some videos failed.")
    states = ", ".join(f"{count} {state}" for state, count in sorted(status.task_states.items()))
    said += [f"Tasks: {states}."] if states else []
    said += [f"{name} {ENDS[name].get(code, 'could not do its work: see above')}." for name, code in ended.items()]
    runs = [task.run for task in status.tasks if task.run is not None]
    said += [f"{line[0].upper()}{line[1:]}." for line in usage_lines(usage_of(runs))]
    if left:
        said.append(f"Next: find out why (kpsbatch logs {status.output} --failed), then submit again.")
    elif failing:
        said.append("Next: fix the data, then submit again with --retry-failed.")
    elif ended.get("verify", 0):
        said.append("Next: verify with the config and --repair, which removes what is damaged, then submit again.")
    else:
        said.append("Nothing is left to do.")
    return " ".join(said)


if __name__ == "__main__":
    from kpsbatch.startup import keep_out_current_folder, shorten_imports

    shorten_imports()
    keep_out_current_folder()
    main()
