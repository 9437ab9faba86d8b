"""The running mode `clip` as `extract` calls it: frames in, rows of keypoints, letters and counts out."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import RGB, Frame
from kpsbatch.landmarks.clip.clip import Found, follow_clip
from kpsbatch.landmarks.clip.networks import Networks
from kpsbatch.landmarks.found import LOOKED_AGAIN, Letter
from kpsbatch.landmarks.hands import SIDES, hand_can_be_seen
from kpsbatch.landmarks.keypoints import empty_row, frame_keypoints
from kpsbatch.landmarks.topology import CONTRACT, Topology

Row = tuple[NDArray[np.float32], dict[str, Letter]]


class WholeClip:
    """Finds the signer in the frames of one video, with what the frames before and after each tell."""

    def __init__(
        self,
        networks: Networks,
        settings: LandmarksConfig,
        hands: Counter[str],
        faces: Counter[str],
        topology: Topology = CONTRACT,
    ) -> None:
        """Take the networks, the settings, what is counted in (`HAND_COUNTS` and `FACE_COUNTS`), and the points."""
        self._networks, self._settings, self._hands, self._faces = networks, settings, hands, faces
        self._topology = topology

    def rows(self, frames: Iterable[Frame]) -> Iterator[Row]:
        """Of each frame its (points, 4) keypoints and the letter of each part found; zeros where unreadable.

        Frames are read ahead, see `follow_clip`; those that can't be read are passed over.
        """
        readable: deque[bool] = deque()

        def images() -> Iterator[RGB]:
            for frame in frames:
                readable.append(frame.image is not None)
                if frame.image is not None:
                    yield frame.image

        for found in follow_clip(images(), self._networks, self._settings):
            while not readable.popleft():
                yield empty_row(self._topology), {}
            yield self._row(found)
        for _ in readable:
            yield empty_row(self._topology), {}

    def _row(self, found: Found) -> Row:
        letters = found.how
        self._faces["detected"] += letters.get("face", LOOKED_AGAIN) != LOOKED_AGAIN
        self._faces["recovered"] += letters.get("face") == LOOKED_AGAIN
        if "hands" in self._settings.parts:
            again = sum(letters[f"{side}_hand"] == LOOKED_AGAIN for side in found.hands)
            self._hands["detected"] += len(found.hands) - again
            self._hands["recovered"] += again
            self._hands[("none", "one", "both")[len(found.hands)]] += 1
            if found.pose is not None:
                shown = [side for side in SIDES if hand_can_be_seen(found.pose, side)]
                self._hands["wrists"] += len(shown)
                self._hands["wrists_without_hand"] += sum(side not in found.hands for side in shown)
        row = frame_keypoints(
            found.pose if "pose" in self._settings.parts else None,
            found.face,
            found.hands.get("right"),
            found.hands.get("left"),
            adjusted=self._settings.coordinates == "adjusted",
            topology=self._topology,
        )
        return row, letters
