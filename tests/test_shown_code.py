"""Code that the pages show works: commands exist with their options, Python compiles, README.md and a tutorial run.

tests/slurm/test_tutorial.py runs the tutorial for clusters, tests/test_notebook.py the notebook.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from browser import CHROMIUM, NO_CHROMIUM
from pages import blocks, not_printed, run_block
from synthetic.demo import write_demo

from kpsbatch.cli.main import COMMANDS, load

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def shown_commands(text: str) -> list[list[str]]:
    """The words of each line of a code block that begins with kpsbatch and one of its commands."""
    found = []
    joined = text.replace("\\\n", " ")
    for line in re.findall(r"^(?: {4}|\$ )?(?:\$ )?(?:python -m )?kpsbatch .*$", joined, re.MULTILINE):
        words = shlex.split(re.split(r"\s\|\s|\s#|\s{3,}|;", line.strip().removeprefix("$ "))[0])
        words = words[words.index("kpsbatch") + 1 :]
        if words and words[0] in COMMANDS:
            found.append(words)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist(name: str) -> None:
    """Every option of a command that a page shows is one that the command has."""
    for command, *words in shown_commands((ROOT / name).read_text(encoding="utf-8")):
        options = {spelled for parameter in load(command).params for spelled in parameter.opts} | {"--help", "-h"}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= options, f"{name}: kpsbatch {command} has no {given - options}"


def test_commands_are_seen() -> None:
    """The pages show more than fifty commands, so the test above has something to look at."""
    assert sum(len(shown_commands(page.read_text(encoding="utf-8"))) for page in PAGES) > 50


@pytest.mark.parametrize("name", NAMES)
def test_python_compiles(name: str) -> None:
    """Every Python block of a page is Python."""
    for code in PYTHON.findall((ROOT / name).read_text(encoding="utf-8")):
        compile(code, name, "exec")


def test_readme_runs(tmp_path: Path) -> None:
    """The Python of README.md gives the right hand of a video."""
    demo = write_demo(tmp_path / "demo", signers=1, signs=1)
    video = next(path for path in sorted(demo.directory.rglob("*_c*")) if path.is_dir() or path.suffix == ".mp4")
    (code,) = PYTHON.findall(README)
    code = code.replace("clip.mp4", video.as_posix()) + "print(keypoints.shape[1:], right_hand.shape[1:])\n"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "(184, 4) (21, 4)\n")


def test_readme_commands_run(tmp_path: Path) -> None:
    """The ```sh blocks of README.md work on a clip and on a folder of words."""
    demo = write_demo(tmp_path / "demo")
    (tmp_path / "words").mkdir()
    videos = sorted(demo.directory.rglob("*.mp4"))
    for video, name in zip(videos, ("clip.mp4", "words/house_1.mp4", "words/peace_1.mp4"), strict=True):
        video.rename(tmp_path / name)
    ran = [run_block(kind, code, tmp_path, {}) for kind, code, _ in blocks(README) if kind == "sh"]
    assert len(ran) == 1
    assert "keypoints/clip.npz: " in ran[0]
    assert "words-kps/house_1.npz: " in ran[0]


def test_tutorial_runs(tmp_path: Path) -> None:
    """The blocks of the tutorial from a folder to a trained model run in order, and print the lines that it shows."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    shown = blocks((ROOT / "docs" / "tutorial_folder.md").read_text(encoding="utf-8"))
    assert [kind for kind, *_ in shown] == ["sh", "sh", "python", "sh", "sh"]
    for kind, code, lines in shown:
        assert not not_printed(lines, run_block(kind, code, tmp_path, {})), code


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_pictures_are_made(tmp_path: Path) -> None:
    """scripts/screenshots.py makes every picture that the pages show."""
    script = runpy.run_path(str(ROOT / "scripts" / "screenshots.py"))
    (tmp_path / "pictures").mkdir()
    script["make"](tmp_path / "pictures", tmp_path)
    shown = {name for page in PAGES for name in re.findall(r"!\[[^\]]*\]\((?:docs/)?(\S+)\)", page.read_text("utf-8"))}
    made = {path.name: cv2.imread(str(path)) for path in (tmp_path / "pictures").iterdir()}
    assert made.keys() == shown
    for name, picture in made.items():
        assert picture.std() > 10
        assert picture.shape == cv2.imread(str(ROOT / "docs" / name)).shape
