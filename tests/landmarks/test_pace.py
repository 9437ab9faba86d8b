"""Key frames: what rests is interpolated, what moves is looked at, and the default looks at every frame."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from synthetic.signer import render_video

from kpsbatch.config import Config, LandmarksConfig
from kpsbatch.landmarks.clip import follow_clip
from kpsbatch.landmarks.found import INTERPOLATED, TRACKED
from kpsbatch.landmarks.moments import Moment, Reading
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.pace import between, key_frame, pose_moved, runs_between, wrists_moved
from kpsbatch.landmarks.squares import upright_square
from kpsbatch.store.settings import settings_of

RATE = 25.0


def a_pose(wrist: float = 0.0) -> Reading:
    """A body 100 px wide; one wrist is `wrist` px from its place."""
    points = np.zeros((39, 4))
    points[11, :2], points[12, :2] = (150, 100), (50, 100)
    points[16, :2] = 60 + wrist, 200
    return Reading(points, upright_square(np.array([100.0, 100.0]), 200.0), 0.9, TRACKED)


def a_hand(wrist: float = 0.0) -> Reading:
    points = np.zeros((21, 3))
    points[:, 0] = np.linspace(60, 80, 21) + wrist
    points[:, 1] = np.linspace(200, 230, 21)
    return Reading(points, upright_square(np.array([70.0, 215.0]), 60.0), 0.9, TRACKED)


def a_clip(count: int) -> list[Moment]:
    networks = cast(Networks, SimpleNamespace(settings=LandmarksConfig(pace="auto")))
    picture = np.zeros((256, 256, 3), np.uint8)
    return [Moment(picture, networks, time=1000 * frame / RATE) for frame in range(count)]


def filled(wrists: list[float]) -> tuple[dict[int, Reading], list[int]]:
    """The poses from the first to the last of some frames, and which of those between were looked at."""
    looked: list[int] = []

    def look(frame: int, by: int) -> Reading:
        looked.append(frame)
        return a_pose(wrists[frame])

    last = len(wrists) - 1
    known = {0: a_pose(wrists[0]), last: a_pose(wrists[last])}
    assert between(0, last, known, look, pose_moved, 0.02)
    return known, looked


def test_what_rests_is_interpolated() -> None:
    """Two ends that agree to 0.02 units: nothing is looked at; places and score lie on the line between them."""
    known, looked = filled([0, 0, 0, 0, 1])
    assert not looked
    assert [known[frame].how for frame in range(5)] == [TRACKED, *[INTERPOLATED] * 3, TRACKED]
    assert [known[frame].points[16, 0] for frame in range(5)] == pytest.approx([60, 60.25, 60.5, 60.75, 61])
    assert known[2].presence == pytest.approx(0.9)


def test_what_moves_is_looked_at_in_halves() -> None:
    """The half in which the wrist moves is looked at frame by frame, the other one is not."""
    known, looked = filled([0, 0, 0, 20, 40])
    assert looked == [2, 3]
    assert known[1].how == INTERPOLATED
    assert known[3].points[16, 0] == 80


def test_what_is_lost_between_ends_it() -> None:
    """The caller then looks at every frame."""
    known = {0: a_pose(), 4: a_pose(40)}
    assert not between(0, 4, known, lambda frame, by: None, pose_moved, 0.02)


def test_key_frames_by_time_and_shot() -> None:
    """At 25 frames a second the next look at the pose is three frames away, never in another shot; backwards too."""
    moments = a_clip(10)
    assert key_frame(moments, 0, 1, 10, 134) == 3
    assert key_frame(moments, 9, -1, -1, 134) == 6
    assert key_frame(moments, 0, 1, 3, 134) == 2
    moments[2].shot = 2
    assert key_frame(moments, 0, 1, 10, 134) == 1


@pytest.mark.parametrize(
    ("wrists", "moved"),
    [
        ([0, 0, 0, 0], False),
        ([0, 10, 5, 0], True),
        ([0, 4, 8, 12], False),
        ([0, None, 0, 0], True),
        ([None] * 4, False),
    ],
)
def test_a_hand_tells_of_a_tap(wrists: list[float | None], moved: bool) -> None:
    """A wrist that goes and comes back by 0.1 units between two key frames, or a hand that is lost there."""
    moments = a_clip(4)
    for moment, wrist in zip(moments, wrists, strict=True):
        moment.pose = a_pose()
        if wrist is not None:
            moment.hands["right"] = a_hand(wrist)
    assert wrists_moved(moments, 0, 3) is moved


def test_runs_between_key_frames() -> None:
    """Each with the key frames around it; a frame without a pose ends it."""
    moments = a_clip(7)
    for frame, letter in enumerate("tiit-it"):
        if letter != "-":
            pose = a_pose()
            moments[frame].pose = Reading(pose.points, pose.square, 0.9, cast(Any, letter))
    assert runs_between(moments) == [(0, 3)]


def test_every_is_the_fingerprint_of_settings_without_a_pace() -> None:
    """Outputs go on where they are; another pace is another setting."""
    tree: dict[str, Any] = {"dataset": {"root": "."}, "output": {"root": "out"}}
    plain = settings_of(Config.model_validate(tree))
    assert "pace" not in plain.landmarks
    auto = settings_of(Config.model_validate({**tree, "landmarks": {"pace": "auto"}}))
    assert auto.landmarks["pace"] == "auto"


def test_a_rendered_clip_that_rests() -> None:
    """Ten times one frame, then movement: the resting frames have the letter, and no hand is lost."""
    moving = [np.ascontiguousarray(image) for image in render_video(2, 1, 1, 12)[0]]
    images = [moving[0]] * 9 + moving
    files = find_networks()
    found = {}
    for pace in ("every", "fast"):
        with Networks(LandmarksConfig(pace=pace), files) as networks:  # type: ignore[arg-type]
            found[pace] = list(follow_clip(images, networks)), networks.runs
    letters = "".join(frame.how["pose"] for frame in found["fast"][0])
    assert letters[:9].count(INTERPOLATED) >= 4
    assert all(frame.how["pose"] != INTERPOLATED for frame in found["every"][0])
    assert sum(found["fast"][1].values()) < sum(found["every"][1].values())
    for one, other in zip(*(found[pace][0] for pace in found), strict=True):
        assert one.hands.keys() == other.hands.keys()
        assert one.pose is not None and other.pose is not None
        np.testing.assert_allclose(one.pose[11:17, :2], other.pose[11:17, :2], atol=0.02)
