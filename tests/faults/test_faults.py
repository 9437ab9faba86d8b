"""Nothing is lost, nothing is half-written, nothing is silently wrong, whatever happens to the real program.

ROUNDS says how many rounds there are (`make test-faults ROUNDS=300`), FAULT_SEED what is drawn in them. A round can be
repeated by itself: `ROUNDS=300 pytest tests/faults -k round-217-`.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_harness import KINDS, MOUNTS, Bench, Round, can_mount, measure, play

from kpsbatch.demo.dataset import write_demo

ROUNDS = int(os.environ.get("ROUNDS", "6"))
REAL_ROUNDS = ROUNDS // 20
SEED = int(os.environ.get("FAULT_SEED", "502"))
Kind = Callable[[Round], set[int]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults (1)")


@pytest.fixture(scope="session")
def stubbed(folder: Path) -> Bench:
    """Landmarkers that take no time, so that there is time for many rounds."""
    bench = Bench(write_demo(folder / "demo", signers=1, signs=2), True, SEED)
    measure(bench, folder / "undisturbed")
    return bench


@pytest.fixture(scope="session")
def real(folder: Path) -> Bench:
    """The real landmarkers."""
    bench = Bench(write_demo(folder / "demo", signers=1, signs=2), False, SEED)
    measure(bench, folder / "undisturbed, real")
    return bench


def repeat(bench: Bench, folder: Path, number: int, kind: Kind) -> None:
    if kind in MOUNTS and not can_mount():
        pytest.skip("mounting a tmpfs needs root and the right to mount")
    play(bench, folder / f"round {number}", number, kind)
    shutil.rmtree(folder / f"round {number}")


def rounds(count: int, seed: int) -> list[object]:
    """All kinds in turn; in a small number of rounds, drawn ones."""
    kinds = KINDS if count >= len(KINDS) else random.Random(seed).sample(KINDS, len(KINDS))
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    return [pytest.param(n, kind, id=f"round-{n}-{kind.__name__}") for n, kind in enumerate(chosen)]


@pytest.mark.parametrize(("number", "kind"), rounds(ROUNDS, SEED))
def test_stubbed(stubbed: Bench, folder: Path, number: int, kind: Callable[[Round], set[int]]) -> None:
    """The program itself, with landmarkers that take no time."""
    repeat(stubbed, folder, number, kind)


@pytest.mark.parametrize(("number", "kind"), rounds(REAL_ROUNDS, SEED + 1))
def test_real(real: Bench, folder: Path, number: int, kind: Callable[[Round], set[int]]) -> None:
    """The same with MediaPipe."""
    repeat(real, folder, 10_000 + number, kind)
