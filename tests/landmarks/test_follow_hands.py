"""Hands where the pose's wrist is wrong: one lies on the other, or something covers it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from test_clip_steps import LEFT, NO_NETWORKS, RIGHT, SIZE, a_hand, a_pose, a_reading

from kpsbatch.landmarks import hands as hands_module
from kpsbatch.landmarks.found import Letter
from kpsbatch.landmarks.hands import MOST_UNSURE, followed, spotted, with_room
from kpsbatch.landmarks.moments import Moment, Reading
from kpsbatch.landmarks.squares import Square, hand_square


class Seen(Moment):
    """A frame in which the hand network sees just some hands, each in squares around it."""

    there: tuple[Reading, ...] = ()

    def read_hand(self, square: Square, how: Letter) -> Reading:
        """The first hand whose own square is near enough to this one."""
        for hand in self.there:
            own = hand_square(hand.points)
            if np.hypot(*(own.centre - square.centre)) < 0.25 * square.side and square.side < 2.2 * own.side:
                return replace(hand, square=square, how=how)
        return replace(a_hand(100, 100, presence=0.0), square=square, how=how)


def seen(*there: Reading, left: tuple[float, float] = LEFT, right: tuple[float, float] = RIGHT) -> Seen:
    """A frame with these hands, and the pose's wrists at these places."""
    pose = a_reading(a_pose(left=left, right=right))
    frame = Seen(np.zeros((SIZE, SIZE, 3), np.uint8), NO_NETWORKS, pose)
    frame.there = there
    return frame


def left_hand(presence: float = 0.99, name: float = 0.01) -> Reading:
    return a_hand(*LEFT, presence=presence, right=name)


class TestFollowing:
    def follow(self, hand: Reading, wrist: tuple[float, float], unsure: int = 0) -> Reading | None:
        """The left hand in a frame that shows `hand`, where the pose's wrist went from the hand's to another place."""
        before = seen()
        before.hands["left"] = replace(left_hand(), unsure=unsure)
        return followed([before, seen(hand, left=wrist)], 1, -1, "left")

    def test_a_hand_stays_where_it_was_though_the_poses_wrist_leaves(self) -> None:
        """By its name alone, up to a unit of the body from the wrist."""
        assert self.follow(left_hand(), (100.0, 160.0)) is not None
        assert self.follow(left_hand(name=0.4), (100.0, 160.0)) is None
        assert self.follow(left_hand(name=0.99), (100.0, 160.0)) is None

    def test_a_hand_that_goes_with_its_wrist_needs_no_name(self) -> None:
        """As ever."""
        assert self.follow(a_hand(150, 110, right=0.5), (150.0, 110.0)) is not None

    def test_what_a_banner_leaves_of_a_hand_is_followed_for_some_frames_only(self) -> None:
        """Then the network must be sure again that there is a hand."""
        unsure = 0
        for _ in range(MOST_UNSURE):
            hand = self.follow(left_hand(presence=0.9), (100.0, 160.0), unsure)
            assert hand is not None
            unsure = hand.unsure
        assert self.follow(left_hand(presence=0.9), (100.0, 160.0), unsure) is None
        sure = self.follow(left_hand(), (100.0, 160.0), MOST_UNSURE - 1)
        assert sure is not None
        assert sure.unsure == 0

    def test_a_part_of_a_hand_does_not_take_its_place(self) -> None:
        """Where the wrist has jumped onto the fingers, the network reads a small hand there."""
        part = left_hand()
        part.points[:, :2] = (140.0, 85.0) + 0.5 * (part.points[:, :2] - LEFT)
        before = seen()
        before.hands["left"] = left_hand()
        hand = followed([before, seen(part, left_hand(), left=(140.0, 85.0))], 1, -1, "left")
        assert hand is not None
        assert hand.points[0, :2] == pytest.approx(LEFT)


class TestSearching:
    def test_an_independent_palm_outweighs_the_poses_wrist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both readings sure, the name sure, and it is not the other side's hand."""

        def palms(moment: Moment, around: Square) -> list[tuple[Square, np.ndarray]]:
            return [(hand_square(hand.points), hand.points[0]) for hand in cast(Seen, moment).there]

        monkeypatch.setattr(hands_module, "palm_squares", palms)
        elsewhere = (90.0, 110.0)
        assert spotted(seen(left_hand(), left=elsewhere), "left") is not None
        assert spotted(seen(left_hand(presence=0.85), left=elsewhere), "left") is None
        assert spotted(seen(left_hand(name=0.3), left=elsewhere), "left") is None
        taken = seen(left_hand(), left=elsewhere)
        taken.hands["right"] = left_hand()
        assert spotted(taken, "left") is None

    def test_a_palm_is_read_once_and_the_other_hands_palm_never_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The frame and the squares around the chest show the same palms."""
        squares: list[Square] = []

        def read_hand(self: Moment, square: Square, how: Letter) -> Reading:
            squares.append(square)
            return replace(right_hand, square=square)

        right_hand = a_hand(*RIGHT, presence=0.99, right=0.99)
        palm = hand_square(right_hand.points)
        monkeypatch.setattr(hands_module, "palm_squares", lambda moment, around: [(palm, right_hand.points[0])])
        monkeypatch.setattr(Seen, "read_hand", read_hand)
        frame = seen(right_hand)
        frame.hands["right"] = right_hand
        assert spotted(frame, "left") is None
        assert len(squares) == 1

    def test_a_part_beside_the_other_hand_is_read_with_more_room(self) -> None:
        """All of the hand comes out, where that is sure."""
        whole, part = left_hand(), left_hand()
        part.points[:, :2] = whole.points[:, :2].mean(axis=0) + 0.55 * (
            part.points[:, :2] - whole.points[:, :2].mean(axis=0)
        )
        frame = seen(whole)
        assert with_room(part, "left", frame) is part
        frame.hands["right"] = a_hand(LEFT[0] + 10, LEFT[1])
        assert with_room(part, "left", frame).points == pytest.approx(whole.points)
