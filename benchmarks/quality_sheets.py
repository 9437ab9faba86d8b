"""Contact sheets of hands that need the eye: the crop alone, and with the joints drawn on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from clips import Clip
from quality_measures import SIDES, same_hand, there
from quality_ways import Result

from kpsbatch.points import HAND_PATHS

CELL = 150
COLUMNS, ROWS = 5, 6


def doubtful(result: Result, plain: Result | None, size: tuple[int, int]) -> list[tuple[int, str, str]]:
    """Frame, side and letter of hands that were looked for again, or that the plain way does not have in this frame."""
    chosen = []
    for side, (part, *_) in SIDES.items():
        how = result.how.get(f"{side}_hand", "")
        for t in np.flatnonzero(there(result.keypoints, part)):
            hand = result.keypoints[t, part, :2] * size
            seen = plain is not None and any(
                plain.keypoints[t, p].any() and same_hand(hand, plain.keypoints[t, p, :2] * size)
                for p, *_ in SIDES.values()
            )
            letter = how[t] if how else "?"
            if letter == "l" or (plain is not None and not seen):
                chosen.append((int(t), side, letter))
    return sorted(chosen)


def draw_hand(image: np.ndarray, hand: np.ndarray, text: str) -> np.ndarray:
    """(CELL, 2 CELL, 3): what the frame shows around a hand of (21, 2) pixels, alone and with the joints."""
    low, high = hand.min(axis=0), hand.max(axis=0)
    side = 1.8 * max(*(high - low), 8.0)
    scale = CELL / side
    start = (low + high) / 2 - side / 2
    move = np.array([[scale, 0, -start[0] * scale], [0, scale, -start[1] * scale]])
    crop = cv2.warpAffine(image, move, (CELL, CELL), borderValue=(90, 0, 90))
    drawn = crop.copy()
    pixels = np.round((hand - start) * scale).astype(np.int32)
    for path in HAND_PATHS:
        cv2.polylines(drawn, [pixels[list(path)].reshape(-1, 1, 2)], False, (0, 255, 0), 1, cv2.LINE_AA)
    for x, y in pixels.tolist():
        cv2.circle(drawn, (x, y), 2, (255, 255, 0), -1, cv2.LINE_AA)
    pair = np.hstack([crop, drawn])
    cv2.putText(pair, text, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1, cv2.LINE_AA)
    pair[-1:], pair[:, -1:] = 255, 255
    return pair


class Sheets:
    """Writes WAY-NN.png into a folder; beyond the frame's edge the pictures are purple."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cells: dict[str, list[np.ndarray]] = {}
        self._written: dict[str, int] = {}

    def add(self, clip: Clip, made: Mapping[str, Result]) -> None:
        """Take the hands of a clip, of all ways but those that are no work of ours."""
        for way, result in made.items():
            if way in ("plain", "holistic"):
                continue
            cells = self._cells.setdefault(way, [])
            for t, side, letter in doubtful(result, made.get("plain"), clip.size):
                hand = result.keypoints[t, SIDES[side][0], :2] * clip.size
                cells.append(draw_hand(clip.frames[t].image, hand, f"{clip.name[-14:]} {t} {side[0]} {letter}"))
            while len(cells) >= COLUMNS * ROWS:
                self._write(way, cells[: COLUMNS * ROWS])
                del cells[: COLUMNS * ROWS]

    def finish(self) -> None:
        """Write what is left."""
        for way, cells in self._cells.items():
            if cells:
                self._write(way, cells)

    def _write(self, way: str, cells: list[np.ndarray]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = self._written[way] = self._written.get(way, 0) + 1
        blank = np.zeros_like(cells[0])
        cells = [*cells, *[blank] * (-len(cells) % COLUMNS)]
        rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
        cv2.imwrite(str(self._folder / f"{way}-{number:02d}.png"), np.vstack(rows)[..., ::-1])
