"""Outputs of different settings never mix: whoever comes first claims the output folder, the others refuse."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from factories import fingerprint, tree_of, unit_record

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.store import outputs as outputs_module
from kpsbatch.store.claim import claim
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.run_state import Origin, Progress, run_id, state_file
from kpsbatch.store.tracking import tracked


@contextlib.contextmanager
def at_work(root: Path, number: int, version: str, *, overwrite: bool = False) -> Iterator[Outputs]:
    """A task that has claimed the folder for a version of mediapipe, until the block ends."""
    outputs = Outputs(root, fingerprint(f"{version:0>12}", mediapipe=version))
    origin, progress = Origin("s", number, 9), Progress()
    with tracked(root, origin, progress) as note:
        outputs.prepare()
        progress.fingerprint = outputs.fingerprint.digest
        note(at_once=True)
        no_videos = tree_of(DatasetConfig(root=root, layout="{signer}/{split}/{sign}"))
        claim(outputs, run_id(origin), no_videos, overwrite=overwrite)
        yield outputs


def test_the_first_wins(tmp_path):
    """A second task with other settings is refused with what differs; one with the same settings is not."""
    with at_work(tmp_path, 0, "1.2"), at_work(tmp_path, 1, "1.2"):
        with pytest.raises(OutputError, match=r"with other settings: mediapipe is '1\.2' there, '1\.3' here"):
            at_work(tmp_path, 2, "1.3").__enter__()
        with pytest.raises(OutputError, match="at work there with other settings"):
            at_work(tmp_path, 2, "1.3", overwrite=True).__enter__()


@pytest.mark.parametrize("locks", [True, False])
def test_at_the_same_moment(tmp_path, monkeypatch, locks):
    """Of tasks that start together only those with one kind of settings go on, with locks or without."""
    if not locks:
        monkeypatch.setattr(outputs_module.Outputs, "lock", lambda outputs: contextlib.nullcontext())
    for turn in range(10):
        root = tmp_path / str(turn)
        root.mkdir()
        together, over = threading.Barrier(6), threading.Barrier(6)
        went_on: list[str] = []

        def task(number: int, root: Path = root, together=together, over=over, went_on=went_on) -> None:
            together.wait()
            with contextlib.suppress(OutputError), at_work(root, number, f"1.{number % 3}"):
                went_on.append(f"1.{number % 3}")
                over.wait()
                return
            over.wait()

        threads = [threading.Thread(target=task, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(went_on) == 2
        assert len(set(went_on)) == 1


def test_taken_over(tmp_path):
    """Settings of which nothing was stored and nobody works any more are no obstacle."""
    with at_work(tmp_path, 0, "1.2"):
        pass
    with at_work(tmp_path, 1, "1.3"), pytest.raises(OutputError, match=r"'1\.3' there, '1\.2' here"):
        at_work(tmp_path, 0, "1.2").__enter__()


def test_a_later_task_holds_the_claim(tmp_path):
    """The claim counts as long as any task with its settings works, not only the one that made it."""
    with contextlib.ExitStack() as later:
        with at_work(tmp_path, 0, "1.2"):
            later.enter_context(at_work(tmp_path, 1, "1.2"))
        with pytest.raises(OutputError, match=r"'1\.2' there, '1\.3' here"):
            at_work(tmp_path, 2, "1.3").__enter__()


def test_outputs_hold_it(tmp_path):
    """Outputs of other settings refuse all the same, and with --overwrite the claim follows."""
    with at_work(tmp_path, 0, "1.2") as outputs:
        arrays = {"v": np.zeros((1, 184, 4), np.float32)}
        outputs.store(Unit("01", "train", 1), arrays, unit_record(videos={"v": {"frames": 1}}), replace=False)
    with pytest.raises(
        OutputError, match=r"01-train/0001\.npz was made with other settings: mediapipe is '1\.2' there"
    ):
        at_work(tmp_path, 1, "1.3").__enter__()
    with at_work(tmp_path, 1, "1.3", overwrite=True), pytest.raises(OutputError, match=r"'1\.3' there, '1\.2' here"):
        at_work(tmp_path, 0, "1.2").__enter__()


def test_a_task_that_can_not_be_seen_yet(tmp_path):
    """On a file system that shows new files late, a claim alone counts for two minutes."""
    with at_work(tmp_path, 0, "1.2"):
        state_file(tmp_path, "s-0000").unlink()
        with pytest.raises(OutputError, match=r"'1\.2' there, '1\.3' here"):
            at_work(tmp_path, 1, "1.3").__enter__()
        os.utime(tmp_path / "_kpsbatch" / "claim.json", (time.time() - 200,) * 2)
        with at_work(tmp_path, 1, "1.3"):
            pass
