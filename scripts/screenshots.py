"""Make the pictures of docs/ from the demo: `PYTHONPATH=. python scripts/screenshots.py [FOLDER]`. It needs Chromium.

preview.png is the first row of a contact sheet, without the letters below it; report.png the report of a demo with
damaged videos, a missing folder and a table of labels.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

LABELS = "id,english,arabic\n1,house,بيت\n2,peace,سلام\n3,book,كتاب\n4,water,ماء\n"
DAMAGED = ("01/01/train/0002", "02/02/train/0003", "01/01/test/0003")
"""Folders of the demo whose first video has no readable frame."""
MISSING = "02/02/test/0002"
ROW = 302
"""Pixels of a sheet's title and first row."""
WIDTH = 1100
"""Width of the row in the end."""
REPORT = (1300, 2100)
"""Width and height of the part of the report that is shown."""


def kpsbatch(*arguments: str, status: int = 0) -> None:
    """Run a command of kpsbatch; SystemExit with what it printed where it ends with another status."""
    done = subprocess.run([sys.executable, "-m", "kpsbatch", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != status:
        raise SystemExit(f"kpsbatch {' '.join(arguments)}: {done.stdout}{done.stderr}")


def make(pictures: Path, work: Path) -> None:
    """Write the pictures of docs/ into a folder."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is missing (Debian: apt-get install chromium)")
    demo = work / "demo"
    config = str(demo / "config.yaml")
    kpsbatch("demo", str(demo))
    shutil.rmtree(demo / "dataset" / MISSING)
    for folder in DAMAGED:
        video = sorted(path for path in (demo / "dataset" / folder).iterdir() if path.is_dir())[0]
        for frame in video.glob("*.jpg"):
            frame.write_bytes(b"")
    (demo / "labels.csv").write_text(LABELS, encoding="utf-8")
    text = (demo / "config.yaml").read_text(encoding="utf-8")
    (demo / "config.yaml").write_text(text.replace("dataset:\n", "dataset:\n  labels: labels.csv\n"), encoding="utf-8")
    kpsbatch("run", config, "--quiet", status=1)  # some videos failed
    kpsbatch("preview", config, "--signs", "4", "--signers", "02", "-o", str(work / "sheet.png"))
    with Image.open(work / "sheet.png") as sheet:
        row = sheet.convert("RGB").crop((0, 0, sheet.width, ROW)).resize((WIDTH, ROW * WIDTH // sheet.width))
        row.save(pictures / "preview.png", optimize=True)
    kpsbatch("report", config, "-o", str(work / "report.html"))
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={work / 'profile'}", f"--window-size={REPORT[0]},{REPORT[1]}"]
    command += [f"--screenshot={work / 'report.png'}", (work / "report.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(work / "report.png") as shot:
        shot.convert("RGB").quantize(128).save(pictures / "report.png", optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"), Path(scratch))
