"""The signer's own face: not another person's, and looked for again where the frame as a whole shows none."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks import topology as t
from kpsbatch.landmarks.detection import Detection
from kpsbatch.landmarks.found import DETECTED, LOOKED_AGAIN, Letter
from kpsbatch.landmarks.regions import Region, body_width, cut_out, in_frame, mostly_in_frame, points_to_frame

RGB = NDArray[np.uint8]
Points = NDArray[np.float32]

MAX_NOSE_DISTANCE = 0.3
"""In body widths: a face whose nose tip is farther than this from the pose's nose is another person's."""

HEAD_SIDE = 1.1
"""Side of the square around a head, in body widths."""

FACE_COUNTS = (
    "detected",  # frames in which the face landmarker found a face
    "far",  # of these, dropped: far from the signer's head
    "outside",  # of these, dropped: more than half of its points are outside the frame
    "recovered",  # faces that only the look at the enlarged head found
)


class FaceFinder(Protocol):
    """Finds the landmarks of a face in a picture of a head."""

    def face_in(self, image: RGB) -> Points | None:
        """(478, 3) landmarks of the face, if the picture shows one."""


def find_face(
    image: RGB, found: Detection, landmarker: FaceFinder, counts: Counter[str]
) -> tuple[Points, Letter] | None:
    """The signer's face in a frame, and how it was found.

    Args:
        image: (H, W, 3) RGB, the frame.
        found: What MediaPipe found in it; without a pose its face is taken for the signer's.
        landmarker: For the look at the enlarged head.
        counts: Of the video, see `FACE_COUNTS`; added to.
    """
    height, width = image.shape[:2]
    counts["detected"] += found.face is not None
    if found.face is not None:
        if not mostly_in_frame(found.face):
            counts["outside"] += 1
        elif found.pose is not None and not is_own(found.face, found.pose, width, height):
            counts["far"] += 1
        else:
            return found.face, DETECTED
    if found.pose is None or not in_frame(found.pose)[t.POSE_NOSE]:
        return None
    region = head_region(found.pose, width, height)
    seen = landmarker.face_in(cut_out(image, region, cv2.BORDER_REPLICATE))
    if seen is None:
        return None
    face = points_to_frame(seen, region, width, height)
    if not (mostly_in_frame(face) and is_own(face, found.pose, width, height)):
        return None
    counts["recovered"] += 1
    return face, LOOKED_AGAIN


def is_own(face: Points, pose: Points, width: int, height: int) -> bool:
    """Whether a face (478, 2 or more) is where the pose (33, 2 or more) has its nose."""
    apart = (face[t.FACE_NOSE_TIP, :2] - pose[t.POSE_NOSE, :2]) * (width, height)
    return float(np.hypot(*apart)) <= MAX_NOSE_DISTANCE * body_width(pose, width, height)


def head_region(pose: Points, width: int, height: int) -> Region:
    """An upright square around the head of a pose (33, 2 or more): around the middle of its nose and ears."""
    marks = pose[[t.POSE_NOSE, t.POSE_LEFT_EAR, t.POSE_RIGHT_EAR], :2].astype(np.float64) * (width, height)
    return Region(marks.mean(axis=0), HEAD_SIDE * body_width(pose, width, height), np.array([0.0, -1.0]))
