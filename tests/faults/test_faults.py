"""Nothing is lost, nothing is half-written, nothing is silently wrong, whatever happens to the real program.

ROUNDS says how many rounds there are (`make test-faults ROUNDS=300`), FAULT_SEED what is drawn in them. A round can be
repeated by itself: `ROUNDS=300 pytest tests/faults -k round-217-`.
"""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fault_harness import KINDS, MOUNTS, SOURCE_KINDS, Bench, Round, can_mount, measure, play
from made_pictures import write_mp4
from synthetic.demo import write_demo

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


@pytest.fixture(scope="session")
def archived(folder: Path) -> Bench:
    """The demo as a zip."""
    demo = write_demo(folder / "demo in a zip", signers=1, signs=2)
    archive = folder / "demo.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((demo.directory / "dataset").rglob("*")):
            file.write(path, path.relative_to(demo.directory / "dataset").as_posix())
    shutil.rmtree(demo.directory / "dataset")
    _change(demo.config, {"root": str(archive)})
    bench = Bench(demo, True, SEED)
    measure(bench, folder / "undisturbed, zip")
    return bench


@pytest.fixture(scope="session")
def segmented(folder: Path) -> Bench:
    """Segments of two long files, of which some overlap, in units of five."""
    demo = write_demo(folder / "demo of segments", signers=1, signs=1)
    data = folder / "long files"
    data.mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_mp4(data / name, [(4 * number, 250 - 4 * number, 99) for number in range(60)])
    starts = [0.0, 0.4, 1.0, 3.5, 5.0]
    rows = [
        f"{name},{name[0]}{start},{start},{start + 0.9},word {start}" for name in ("a.mp4", "b.mp4") for start in starts
    ]
    (folder / "segments.csv").write_text("\n".join(["video,key,start,end,word", *rows]))
    columns = {"video": "video", "id": "key", "start": "start", "end": "end", "label": "word"}
    manifest = {"path": str(folder / "segments.csv"), "columns": columns}
    every = dict.fromkeys(("signers", "splits", "signs"), "all")
    _change(demo.config, {"root": str(data), "manifest": manifest, "videos_per_unit": 3, **every})
    bench = Bench(demo, True, SEED)
    measure(bench, folder / "undisturbed, segments")
    assert {len(videos) for videos in bench.expected.values()} == {3, 1}
    return bench


def _change(config: Path, dataset: dict[str, object]) -> None:
    """Change the `dataset` section of a config."""
    tree = yaml.safe_load(config.read_text(encoding="utf-8"))
    tree["dataset"].update(dataset)
    config.write_text(yaml.safe_dump(tree), encoding="utf-8")


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


@pytest.mark.parametrize("kind", SOURCE_KINDS)
def test_archive(archived: Bench, folder: Path, kind: Callable[[Round], set[int]]) -> None:
    """Over an archive."""
    repeat(archived, folder, 20_000 + SOURCE_KINDS.index(kind), kind)


@pytest.mark.parametrize("kind", SOURCE_KINDS)
def test_segments(segmented: Bench, folder: Path, kind: Callable[[Round], set[int]]) -> None:
    """Over segments of long files, which are read in groups."""
    repeat(segmented, folder, 30_000 + SOURCE_KINDS.index(kind), kind)
