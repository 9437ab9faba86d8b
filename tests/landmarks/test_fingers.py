"""The order of fingers against the frames around."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from kpsbatch.landmarks import fingers
from kpsbatch.landmarks.found import TRACKED
from kpsbatch.landmarks.moments import Moment, Reading
from kpsbatch.landmarks.squares import Square, hand_square

PINKY_FIRST = [0, 1, 2, 3, 4, *fingers.REVERSED]


def a_hand(x: float = 100.0, *, is_reversed: bool = False, presence: float = 0.9) -> Reading:
    """A hand with spread fingers, its wrist at (x, 100); in reverse the index is where the pinky is."""
    points = np.zeros((21, 3))
    for finger, angle in enumerate(np.deg2rad([-60, -25, -5, 15, 40])):
        for joint in range(4):
            points[1 + 4 * finger + joint, :2] = (30 + 12 * joint) * np.array([np.sin(angle), -np.cos(angle)])
    points[:, :2] += (x, 100)
    points = points[PINKY_FIRST] if is_reversed else points
    return Reading(points, hand_square(points), presence, TRACKED)


class FakeMoment:
    """A frame with a right hand; `answers` is what a look gives, of how many looks `looks` tells."""

    def __init__(self, hand: Reading | None, answer: Reading | None = None, shot: int = 0) -> None:
        self.hands: dict[str, Reading] = {} if hand is None else {"right": hand}
        self.answer, self.shot, self.looks = answer, shot, 0
        self.thresholds = SimpleNamespace(hand_presence=0.5)

    def read_hand(self, square: Square, how: Any) -> Reading:
        self.looks += 1
        assert self.answer is not None
        return replace(self.answer, square=square)


def ordered(moments: list[FakeMoment]) -> list[bool]:
    """Of each frame, whether its index is called index, after the check."""
    fingers.order_fingers(cast(list[Moment], moments), 0)
    return [fingers.fingers_apart(a_hand().points, m.hands["right"].points, fingers.FINGERS) < 0.1 for m in moments]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_short_run_in_another_order_is_read_again(length: int) -> None:
    wrong = [FakeMoment(a_hand(is_reversed=True), a_hand()) for _ in range(length)]
    assert ordered([FakeMoment(a_hand()), *wrong, FakeMoment(a_hand())]) == [True] * (length + 2)


def test_a_hand_that_turns_keeps_its_order() -> None:
    turned = [FakeMoment(a_hand(is_reversed=True), a_hand()) for _ in range(4)]
    assert ordered([FakeMoment(a_hand()), *turned, FakeMoment(a_hand())]) == [True, *[False] * 4, True]
    assert not any(moment.looks for moment in turned)


def test_a_reading_in_the_wrong_order_or_of_nothing_is_not_taken() -> None:
    for answer in (a_hand(is_reversed=True), a_hand(presence=0.4)):
        wrong = FakeMoment(a_hand(is_reversed=True), answer)
        assert ordered([FakeMoment(a_hand()), wrong, FakeMoment(a_hand())]) == [True, False, True]
        assert wrong.looks == 4


def test_shots_and_frames_without_a_hand_are_not_compared() -> None:
    wrong = FakeMoment(a_hand(is_reversed=True), a_hand(), shot=2)
    assert ordered([FakeMoment(a_hand()), wrong, FakeMoment(a_hand())]) == [True, False, True]
    missing = [FakeMoment(a_hand()), FakeMoment(a_hand(is_reversed=True), a_hand()), FakeMoment(None)]
    fingers.order_fingers(cast(list[Moment], missing), 0)
    assert not missing[1].looks


def test_a_hand_in_order_costs_no_look() -> None:
    moments = [FakeMoment(a_hand(100 + 10 * frame)) for frame in range(6)]
    assert ordered(moments)[0]
    assert not any(moment.looks for moment in moments)
