"""Which detected hand is the signer's right, which the left, and where to look again for one that was not found."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks import topology as t
from kpsbatch.landmarks.detection import Hand
from kpsbatch.landmarks.regions import in_frame, mostly_in_frame, shoulder_width

Points = NDArray[np.float32]
Side = Literal["right", "left"]

SIDES: tuple[Side, Side] = ("right", "left")
POSE_WRIST = {"right": t.POSE_RIGHT_WRIST, "left": t.POSE_LEFT_WRIST}
POSE_PINKY = {"right": t.POSE_RIGHT_PINKY, "left": t.POSE_LEFT_PINKY}
POSE_INDEX = {"right": t.POSE_RIGHT_INDEX, "left": t.POSE_LEFT_INDEX}

MAX_WRIST_DISTANCE = 0.5
"""In shoulder widths: a hand farther than this from a pose wrist is not that side's (see docs/hands.md)."""

SAME_HAND_DISTANCE = 0.25
"""Two detections whose joints lie closer than this on average, in hand sizes, are one hand."""

HALF_HAND = 1.5
"""From the wrist, in lengths of wrist to knuckles of the pose: where half of a hand's joints have been passed (measured
on hands that the frame's lower edge cuts off, see docs/quality.md)."""


@dataclass(frozen=True)
class Placement:
    """The two slots of a frame, and what happened to the hands.

    Attributes:
        slots: The hand of each side that has one.
        far: Hands dropped because they are far from both wrists of the signer.
        twice: Hands dropped because another detection is the same hand.
        outside: Hands dropped because more than half of their joints are outside the frame.
        relabelled: Hands that went to another side than the model's label says.
    """

    slots: dict[Side, Hand] = field(default_factory=dict)
    far: int = 0
    twice: int = 0
    outside: int = 0
    relabelled: int = 0


def place_by_label(hands: Sequence[Hand]) -> Placement:
    """Fill the slots by the model's labels, never one hand over the other.

    Two hands with the same label: the one with the higher score keeps it, the other takes the free slot.
    """
    slots: dict[Side, Hand] = {}
    shown = [hand for hand in hands if mostly_in_frame(hand.points)]
    for hand in sorted(shown, key=lambda hand: -hand.score)[:2]:
        other: Side = "left" if hand.label == "right" else "right"
        slots[other if hand.label in slots else hand.label] = hand
    return Placement(slots, outside=len(hands) - len(shown), relabelled=_relabelled(slots))


def place_by_pose(hands: Sequence[Hand], pose: Points, width: int, height: int) -> Placement:
    """Give each hand to the side whose pose wrist is nearest: one to one, with the smallest sum of distances.

    Args:
        hands: What was detected.
        pose: (33, 2 or more) landmarks of the signer.
        width: Of the frame, in pixels.
        height: Of the frame, in pixels.
    """
    shown = [hand for hand in hands if mostly_in_frame(hand.points)]
    apart = drop_repeated(shown, width, height)
    near = [hand for hand in apart if min(wrist_distances(hand, pose, width, height).values()) <= MAX_WRIST_DISTANCE]
    best: tuple[int, float, dict[Side, Hand]] = (0, 0.0, {})
    for chosen in itertools.permutations([*near, None, None], 2):
        pairs = {side: hand for side, hand in zip(SIDES, chosen, strict=True) if hand is not None}
        distances = [wrist_distances(hand, pose, width, height)[side] for side, hand in pairs.items()]
        if all(distance <= MAX_WRIST_DISTANCE for distance in distances):
            best = min(best, (-len(pairs), sum(distances), pairs), key=lambda option: option[:2])
    slots = best[2]
    return Placement(
        slots, len(apart) - len(slots), len(shown) - len(apart), len(hands) - len(shown), _relabelled(slots)
    )


def _relabelled(slots: dict[Side, Hand]) -> int:
    return sum(hand.label != side for side, hand in slots.items())


def wrist_distances(hand: Hand, pose: Points, width: int, height: int) -> dict[Side, float]:
    """How far a hand's wrist is from the pose's wrists, in shoulder widths."""
    scale = np.array([width, height], np.float32)
    unit = shoulder_width(pose, width, height)
    wrist = hand.points[t.HAND_WRIST, :2]
    return {side: float(np.linalg.norm((wrist - pose[POSE_WRIST[side], :2]) * scale)) / unit for side in SIDES}


def is_same_hand(one: Hand, other: Hand, width: int, height: int, apart: float = SAME_HAND_DISTANCE) -> bool:
    """Whether two detections are one hand of the picture: their joints are less than `apart` hand sizes apart."""
    scale = np.array([width, height], np.float32)
    a, b = one.points[:, :2] * scale, other.points[:, :2] * scale
    size = max(float(np.linalg.norm(np.ptp(a, axis=0))), float(np.linalg.norm(np.ptp(b, axis=0))), 1.0)
    return float(np.linalg.norm(a - b, axis=1).mean()) < apart * size


def drop_repeated(hands: Sequence[Hand], width: int, height: int) -> list[Hand]:
    """The hands without repeated detections of one hand; the one with the higher score stays."""
    kept: list[Hand] = []
    for hand in sorted(hands, key=lambda hand: -hand.score):
        if not any(is_same_hand(hand, other, width, height) for other in kept):
            kept.append(hand)
    return kept


def sides_to_look_again(placement: Placement, pose: Points) -> list[Side]:
    """Sides that got no hand although wrist and knuckles are inside the frame: the pose may be off by the rest."""
    return [side for side in SIDES if side not in placement.slots and hand_can_be_seen(pose, side, 1.0)]


def hand_can_be_seen(pose: Points, side: Side, part: float = HALF_HAND) -> bool:
    """Whether half of a hand is inside the frame by the pose (33, 2 or more).

    A resting hand of which only the forearm is in the picture can't be seen.

    Args:
        pose: The signer's.
        side: The hand's.
        part: How much of it must be inside, in lengths of wrist to knuckles (the middle of index and pinky).
    """
    wrist = pose[POSE_WRIST[side], :2]
    knuckles = (pose[POSE_INDEX[side], :2] + pose[POSE_PINKY[side], :2]) / 2
    return bool(in_frame(np.stack([wrist, wrist + np.float32(part) * (knuckles - wrist)])).all())


def fits(hand: Hand, side: Side, slots: dict[Side, Hand], pose: Points, width: int, height: int) -> bool:
    """Whether a recovered hand may take a side's slot.

    It must be near that side's pose wrist, nearer to it than to the other wrist if that has no hand either, and must
    not be the hand that is placed already.
    """
    distances = wrist_distances(hand, pose, width, height)
    other: Side = "left" if side == "right" else "right"
    if distances[side] > MAX_WRIST_DISTANCE or (other not in slots and distances[other] < distances[side]):
        return False
    return not any(is_same_hand(hand, placed, width, height) for placed in slots.values())
