"""Nodes that could not do their tasks, by the state files of the tasks."""

from __future__ import annotations

import shlex

from kpsbatch.look.nodes import bad_nodes, started_again
from kpsbatch.store.run_state import RunState

SUBMIT = "kpsbatch submit '/a b/c.yaml'"


def run_on(node: str, *given_back: tuple[str, str], done: int = 1, restarts: int = 0) -> RunState:
    now = "2026-12-01T00:00:00+00:00"
    return RunState(
        run=node, host=node, started=now, updated=now, state="finished", units_done=done, restarts=restarts,
        given_back=list(given_back),
    )  # fmt: skip


def test_by_reason() -> None:
    """Nodes with one reason are one line, with what leaves them out beside those that the config leaves out."""
    runs = [
        run_on("n1", ("n3", "no data. Mount it."), ("n4", "no data. Mount it.")),
        run_on("n2", ("n3", "no data. Mount it."), ("n5", "no models. Make them.")),
    ]
    first, second = bad_nodes(runs, SUBMIT, "n9")
    assert first.startswith(
        "node n3, n4 could not do what started there (3 starts): no data. Mount it. To leave it out: "
    )
    typed = shlex.split(first.partition("To leave it out: ")[2])
    assert typed == ["kpsbatch", "submit", "/a b/c.yaml", "--set", "slurm.extra.exclude=n9,n3,n4"]
    assert second.endswith("exclude=n9,n5")


def test_everywhere() -> None:
    """Where no other node did anything, none is left out: the reason is not the node's."""
    [line] = bad_nodes([run_on("n1", ("n1", "no data. Mount it."), done=0)], SUBMIT)
    assert line == "node n1 could not do what started there (1 start): no data. Mount it."


def test_what_a_state_file_of_others_says() -> None:
    """A name of a node that a shell would run is quoted, and a text stays on its line."""
    [line] = bad_nodes([run_on("n1", ("n3; rm x", "a\x1b[2Jb\nc"))], SUBMIT)
    assert line.endswith("--set slurm.extra.exclude='n3; rm x'")
    assert line.isprintable()


def test_started_again() -> None:
    """How often is said where it happened at all."""
    assert started_again([run_on("n1")]) == []
    [line] = started_again([run_on("n1", restarts=2), run_on("n2", restarts=1), run_on("n3")])
    assert line.startswith("SLURM started 2 tasks again, 3 times in all")
