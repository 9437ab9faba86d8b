"""Make words/ out of the demo dataset: 24 videos such as anna_house_1.mp4, for docs/tutorial_folder.md.

kpsbatch demo demo && python examples/demo_words.py
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import av
from PIL import Image

NAMES = {"01": "anna", "02": "omar"}
WORDS = {"0001": "house", "0002": "peace", "0003": "book", "0004": "water"}

Path("words").mkdir(exist_ok=True)
takes: Counter[tuple[str, str]] = Counter()
for video in sorted(Path("demo/dataset").glob("*/*/*/*/*_c*")):
    who, word = NAMES[video.parts[2]], WORDS[video.parts[5]]
    takes[who, word] += 1
    target = Path("words") / f"{who}_{word}_{takes[who, word]}.mp4"
    if video.is_file():
        shutil.copy(video, target)
        continue
    with av.open(str(target), "w") as file:
        stream = file.add_stream("libx264", rate=30)
        frames = sorted(video.glob("*.jpg"), key=lambda path: int(path.stem.removeprefix("frame")))
        stream.width, stream.height = Image.open(frames[0]).size
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_image(Image.open(frame))))
        file.mux(stream.encode())
print(f"words: {sum(takes.values())} videos")
