"""The steps of the engine by themselves: squares, detections, the signer among people, gaps, smoothing, hands."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import cv2
import numpy as np
import pytest

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks import people
from kpsbatch.landmarks.clip import STRETCH_BYTES, in_frame_sizes, smooth, stretch
from kpsbatch.landmarks.detectors import Detection, decode, intersection_over_union, make_anchors, merge
from kpsbatch.landmarks.face import head_in_frame, head_square, is_own
from kpsbatch.landmarks.hands import (
    SHOWS,
    WELL_INSIDE,
    Search,
    agree,
    belongs,
    edge_is_beyond,
    is_hand_of,
    is_line,
    named,
    place,
    placed,
    squares_of,
)
from kpsbatch.landmarks.moments import Moment, Reading, Side, body_unit
from kpsbatch.landmarks.networks import Networks, read_pose
from kpsbatch.landmarks.pose import gaps, recognise
from kpsbatch.landmarks.shots import spread
from kpsbatch.landmarks.signer import Track, choose, link, signing
from kpsbatch.landmarks.squares import (
    circle_square,
    cut,
    far_apart,
    matrix,
    mesh_square,
    moved,
    palm_square,
    resized,
    to_pixels,
    turned_square,
    upright_square,
)

SIZE = 200


class NoNetworks:
    """Settings alone: a step that asks a network fails."""

    settings = LandmarksConfig()


NO_NETWORKS = cast(Networks, NoNetworks())
RIGHT, LEFT = (60.0, 120.0), (140.0, 120.0)


def a_pose(x: float = 100.0, right: tuple[float, float] = RIGHT, left: tuple[float, float] = LEFT, unit: float = 80.0):
    """(39, 4) pixels: shoulders `unit` apart around x, ears half of that, knuckles 20 pixels above the wrists."""
    pose = np.zeros((39, 4))
    pose[:, :2] = (x, 40)
    pose[7, :2], pose[8, :2] = (x + unit / 8, 30), (x - unit / 8, 30)
    pose[11, :2], pose[12, :2] = (x + unit / 2, 70), (x - unit / 2, 70)
    for wrist, index, pinky, at in ((16, 20, 18, right), (15, 19, 17, left)):
        pose[wrist, :2] = at
        pose[index, :2] = pose[pinky, :2] = (at[0], at[1] - 20)
    return pose


def a_reading(points: np.ndarray, presence: float = 0.9) -> Reading:
    return Reading(points, upright_square(np.array([100.0, 100.0]), 100.0), presence, "t")


def a_hand(x: float, y: float, presence: float = 0.9, right: float = 0.5) -> Reading:
    """A hand with its wrist at (x, y): fingers up, 40 pixels long; how much it is a right one."""
    points = np.zeros((21, 3))
    for finger in range(5):
        for joint in range(4):
            points[1 + 4 * finger + joint, :2] = (-16 + 8 * finger, -16 - 8 * joint)
    return replace(a_reading(points + np.array([x, y, 0]), presence), right=right)


def a_moment(pose: np.ndarray | None = None, size: int = SIZE) -> Moment:
    return Moment(np.zeros((size, size, 3), np.uint8), NO_NETWORKS, a_reading(a_pose() if pose is None else pose))


class TestSquares:
    def test_pixels_go_there_and_back(self) -> None:
        """What is drawn at a place of the frame is found at the same place after a cut and back."""
        image = np.zeros((SIZE, SIZE, 3), np.uint8)
        cv2.circle(image, (130, 90), 3, (255, 255, 255), -1)
        square = turned_square(np.array([120.0, 100.0]), 70.0, np.array([0.6, -0.8]))
        picture = cut(image, square, 140)
        bright = np.argwhere(picture[..., 0] > 128)[:, ::-1].mean(axis=0)
        assert to_pixels(bright[None] / 140, square)[0] == pytest.approx([130, 90], abs=0.5)

    def test_depth_is_scaled_with_the_square(self) -> None:
        """A z of half a picture's side is half the square's side in pixels."""
        points = to_pixels(np.array([[0.5, 0.5, 0.5]]), upright_square(np.array([10.0, 20.0]), 60.0))
        assert points[0] == pytest.approx([10, 20, 30])

    def test_a_square_of_the_networks_size_is_cut_out_unchanged(self) -> None:
        """Nothing is resampled where the square has as many pixels as the picture."""
        image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
        picture = cut(image, upright_square(np.array([100.0, 90.0]), 64.0), 64)
        np.testing.assert_array_equal(picture, image[58:122, 68:132])

    def test_beyond_the_frame_is_black(self) -> None:
        """Nothing of the frame shows where there is no frame."""
        picture = cut(np.full((SIZE, SIZE, 3), 200, np.uint8), upright_square(np.array([0.0, 100.0]), 64.0), 64)
        assert not picture[:, :31].any()
        assert (picture[:, 33:] == 200).all()

    def test_a_persons_square_stands_as_the_person_does(self) -> None:
        """1.25 times the circle, its up from the hips to the point above."""
        square = circle_square(np.array([100.0, 100.0]), np.array([140.0, 100.0]))
        assert square.side == pytest.approx(100)
        assert square.up == pytest.approx([1, 0])

    def test_a_mesh_that_is_upside_down_gives_a_square_that_is(self) -> None:
        """The eyes decide about a face's turn."""
        mesh = np.zeros((478, 3))
        mesh[33, :2], mesh[263, :2], mesh[152, :2] = (120, 100), (80, 100), (100, 40)
        square = mesh_square(mesh)
        assert square.up == pytest.approx([0, 1])
        assert square.side == pytest.approx(1.5 * 120)

    def test_a_palms_square_is_enlarged_towards_the_fingers(self) -> None:
        """2.6 boxes, half a box up."""
        square = palm_square(np.array([90.0, 90, 110, 110]), np.array([[100.0, 110], [0, 0], [100, 90]]))
        assert square.centre == pytest.approx([100, 90])
        assert square.side == pytest.approx(52)

    def test_far_apart_counts_shift_growth_and_turn(self) -> None:
        """Each by itself is enough, and none where all are within bounds."""
        square = upright_square(np.array([50.0, 50.0]), 100.0)
        bounds = (0.1, 1.2, 10.0)
        assert not far_apart(square, moved(resized(square, 1.1), np.array([5.0, 5.0])), *bounds)
        assert far_apart(square, moved(square, np.array([11.0, 0.0])), *bounds)
        assert far_apart(square, resized(square, 0.8), *bounds)
        assert far_apart(square, turned_square(square.centre, 100.0, np.array([0.2, -1.0])), *bounds)

    def test_a_square_without_a_direction_stands_upright(self) -> None:
        """Points that coincide give no turn, and no square of no size."""
        square = circle_square(np.array([5.0, 5.0]), np.array([5.0, 5.0]))
        assert np.isfinite(matrix(square, 10)).all()
        assert square.up == pytest.approx([0, -1])


class TestDetectors:
    def test_anchors_are_as_many_as_the_networks_have(self) -> None:
        """2254, 896 and 2016, the first at the middle of the first cell."""
        assert len(make_anchors(224, [(8, 2), (16, 2), (32, 6)])) == 2254
        assert len(make_anchors(128, [(8, 2), (16, 6)])) == 896
        assert make_anchors(192, [(8, 2), (16, 6)])[0] == pytest.approx([0.5 / 24, 0.5 / 24])

    def test_decoding_adds_the_anchor_and_drops_the_unsure(self) -> None:
        """A box in pixels relative to its anchor becomes corners in sides of the picture."""
        raw = np.array([[10.0, 0, 20, 40, 5, 5], [0, 0, 1, 1, 0, 0]], np.float32)
        found = decode(np.array([3.0, -3.0], np.float32), raw, np.full((2, 2), 0.5, np.float32), 100, 0.5)
        assert len(found) == 1
        assert found[0].box == pytest.approx([0.5, 0.3, 0.7, 0.7])
        assert found[0].points[0] == pytest.approx([0.55, 0.55])

    def test_overlapping_boxes_become_their_weighted_mean(self) -> None:
        """Two detections of one thing are one, nearer to the surer; another thing stays."""
        boxes = [(0.9, [0, 0, 0.2, 0.2]), (0.3, [0.04, 0, 0.24, 0.2]), (0.8, [0.6, 0.6, 0.8, 0.8])]
        found = [Detection(s, np.array(b, np.float32), np.zeros((1, 2), np.float32)) for s, b in boxes]
        merged = merge(sorted(found, key=lambda one: -one.score))
        assert [round(one.score, 1) for one in merged] == [0.9, 0.8]
        assert merged[0].box[0] == pytest.approx(0.01)
        assert intersection_over_union(merged[0].box, merged[1].box) == 0

    def test_the_heatmap_refines_a_sure_landmark_and_no_other(self) -> None:
        """Above a confidence of 0.5 the weighted mean of the cells counts, else the landmark itself."""
        raw = np.zeros((39, 5), np.float32)
        raw[:, :2] = 128
        raw[2, :2], raw[3, :2] = (2, 254), (-1, 128)
        heatmap = np.full((64, 64, 39), -100.0, np.float32)
        heatmap[30, 34, :2] = logit(0.9), logit(0.4)
        heatmap[32, 35, :2] = logit(0.3), logit(0.4)
        heatmap[32, 36, 0] = logit(0.99)  # out of its reach
        heatmap[63, 0, 2] = heatmap[32, 0, 3] = 100.0
        points = read_pose(raw.ravel(), cells_around(raw, heatmap), 256)
        assert points[0, :2] == pytest.approx([(0.9 * 34 + 0.3 * 35) / 1.2 / 64, (0.9 * 30 + 0.3 * 32) / 1.2 / 64])
        assert points[1, :2] == pytest.approx([0.5, 0.5])
        assert points[2, :2] == pytest.approx([0, 63 / 64])
        assert points[3, :2] == pytest.approx([-1 / 256, 0.5])


def cells_around(raw: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """The 7 x 7 cells of a heatmap around each landmark, flat; beyond the edge those at the edge."""
    x, y = np.floor(raw[:, 0] / 4), np.floor(raw[:, 1] / 4)
    cells = [
        heatmap[min(max(int(row) + down, 0), 63), min(max(int(column) + across, 0), 63), point]
        for point, (row, column) in enumerate(zip(y, x, strict=True))
        for down in range(-3, 4)
        for across in range(-3, 4)
    ]
    return np.array(cells, np.float32)


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


class TestSearchingPeople:
    def test_a_frame_that_is_nearly_square_is_searched_as_a_whole_first(self) -> None:
        """Windows come where it shows nobody, the smallest last; a wide frame is searched in windows at once."""
        sides = [[square.side for square in group] for group in people.search_squares(640, 480)]
        assert sides[0] == [640]
        assert set(sides[1]) == {480}
        assert set(sides[2]) == {240}
        assert {square.side for square in people.search_squares(1920, 400)[0]} == {1920, 400}

    @pytest.mark.parametrize(("width", "height"), [(1920, 240), (1920, 239), (1920, 96), (40, 1920), (3, 2000), (1, 9)])
    def test_thin_frames(self, width: int, height: int) -> None:
        """However thin a frame is, its windows are few, and cover it."""
        squares = [square for group in people.search_squares(width, height) for square in group]
        assert len(squares) <= 109
        assert all(
            any(abs(square.centre - at).max() <= square.side / 2 for square in squares[1:])
            for at in np.linspace((0, 0), (width, height), 50)
        )

    @pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 400), (256, 256), (400, 1600)])
    def test_windows_cover_the_frame_and_overlap_by_half(self, width: int, height: int) -> None:
        """Every pixel is in a window, and whatever is half as large as one is in one as a whole."""
        side = min(width, height) / 2
        squares = people.windows(width, height, side)
        for x in np.linspace(side / 4, width - side / 4, 23):
            for y in np.linspace(side / 4, height - side / 4, 23):
                assert min(np.abs(square.centre - (x, y)).max() for square in squares) <= side / 4 + 1e-6

    def test_a_known_signer_is_not_searched_among_the_small(self) -> None:
        """Somebody who fills the frame is not looked for in small windows of it."""
        assert len(people.search_squares(640, 480, 400)) == 1
        assert len(people.search_squares(1280, 720, 100)) == 2


class TestSigner:
    def poses(self, x: float, move: float, unit: float = 80.0, count: int = 4) -> dict[int, Reading]:
        return {10 * t: a_reading(a_pose(x, right=(x - 40, 120 - move * (t % 2)), unit=unit)) for t in range(count)}

    def test_people_are_linked_by_place_whatever_their_order(self) -> None:
        """Each person is one track, though the detector names them in another order."""
        one, two = self.poses(60, 0), self.poses(300, 0)
        frames = {t: [one[t], two[t]] if t % 20 else [two[t], one[t]] for t in one}
        tracks = link(frames)
        assert [len(track.poses) for track in tracks] == [4, 4]
        assert {round(float(pose.points[11, 0])) for pose in tracks[0].poses.values()} == {340}

    def test_somebody_of_another_size_is_somebody_else(self) -> None:
        """A child at the same place is not the signer."""
        assert len(link({0: [a_reading(a_pose(100))], 1: [a_reading(a_pose(100, unit=40))]})) == 2

    def hands(self, swing: float, count: int = 4) -> dict[int, dict[Side, np.ndarray]]:
        """A confirmed right hand in each frame, which swings by `swing` units."""
        joints = a_hand(0, 0).points[:, :2] / 80
        return {20 * t: {"right": joints + np.array([swing * (-1) ** t, 0])} for t in range(count)}

    def test_who_moves_confirmed_hands_is_chosen_over_who_is_large_and_in_the_middle(self) -> None:
        """A wrist that the pose only guesses counts nothing, however it moves."""
        guessed = Track(self.poses(200, 80), self.hands(0.01))
        signer = Track(self.poses(340, 0, unit=40), self.hands(0.4))
        chosen = choose([guessed, signer], (400, 200))
        assert chosen.order[0] is signer
        assert "signs" in chosen.reason
        assert signing(signer) == pytest.approx(0.4)
        assert signing(Track(self.poses(200, 80))) == 0

    def test_of_two_who_sign_it_is_the_one_who_signs_more(self) -> None:
        """A hand that is confirmed in half of the frames only counts half."""
        often, seldom = (Track(self.poses(x, 0), self.hands(0.3)) for x in (60, 340))
        for frame in (20, 60):
            seldom.hands[frame] = {}
        seldom.hands[0], seldom.hands[40] = often.hands[0], often.hands[20]
        assert signing(seldom) == pytest.approx(0.15)
        assert choose([seldom, often], (400, 200)).order[0] is often

    def test_where_nobody_signs_size_place_and_time_decide(self) -> None:
        """Each alone decides between people who do not differ otherwise."""
        base = Track(self.poses(200, 20))
        for other in (self.poses(200, 20, unit=50), self.poses(40, 20), self.poses(200, 20, count=2)):
            assert choose([Track(other), base], (400, 200)).order[0] is base

    def test_nobody_gives_no_signer(self) -> None:
        """A clip of an empty room."""
        assert choose(link({0: [], 5: []}), (400, 200)).order == []

    def test_another_person_is_never_recognised_as_the_signer(self) -> None:
        """Where the signer has gone, the other one is left alone; where both are there, the signer is found."""
        other, known = a_reading(a_pose(300)), a_reading(a_pose(100))
        others = [Track({0: a_reading(a_pose(310))})]
        assert recognise([other], known, others) is None
        back = a_reading(a_pose(120))
        assert recognise([other, back], known, others) is back


class TestGaps:
    def test_gaps_are_the_runs_of_unknown_frames(self) -> None:
        """From the first new frame on."""
        known = [False, True, False, False, True, False]
        assert gaps(known, 0) == [range(1), range(2, 4), range(5, 6)]
        assert gaps(known, 3) == [range(3, 4), range(5, 6)]

    def test_searched_frames_are_spread_evenly(self) -> None:
        """In the middle of equal shares, never more than there are."""
        assert spread(0, 100, 4) == [12, 37, 62, 87]
        assert spread(7, 9, 5) == [7, 8]
        assert spread(3, 3, 2) == []

    def test_a_search_in_vain_is_not_repeated_at_once(self) -> None:
        """After 1, 2, 4 and at most 8 frames, and at once when the wrist has moved."""
        search, wrist = Search(), np.array([10.0, 10.0])
        searched = []
        for frame in range(30):
            if search.is_due(frame, wrist, 100.0):
                searched.append(frame)
                search.failed(frame, wrist)
        assert searched == [0, 1, 3, 7, 15, 23]
        assert search.is_due(24, wrist + 30, 100.0)

    def test_a_stretch_holds_a_bounded_number_of_bytes(self) -> None:
        """However large frames are, down to 16 of them."""
        for height, width in ((256, 256), (480, 640), (720, 1280)):
            assert stretch(3 * height * width) * 3 * height * width <= STRETCH_BYTES
        assert stretch(3 * 2160 * 3840) == 16


class TestSmoothing:
    unit = 100.0

    def smoothed(self, track: np.ndarray) -> np.ndarray:
        return smooth(track[:, None], np.full(len(track), self.unit))[:, 0]

    def test_there_is_no_lag(self) -> None:
        """A steady movement comes out as it went in, and time reversed gives the result reversed."""
        steady = np.arange(30.0)[:, None] * (0.7, -0.4)
        np.testing.assert_allclose(self.smoothed(steady)[4:-4], steady[4:-4], atol=1e-9)
        track = np.cumsum(np.random.default_rng(0).normal(size=(40, 2)), axis=0)
        np.testing.assert_allclose(self.smoothed(track[::-1])[::-1], self.smoothed(track), atol=1e-9)

    def test_a_point_at_rest_is_still(self) -> None:
        """Noise of half a percent of the body becomes less than half of that."""
        noise = np.random.default_rng(0).normal(0, 0.5, (200, 2))
        assert self.smoothed(noise)[5:-5].std() < 0.5 * noise.std()

    def test_fast_movement_is_left_alone(self) -> None:
        """A wrist that turns round within a frame keeps its extreme place within half a percent of the body."""
        track = np.zeros((21, 2))
        track[:, 0] = 15 * (10 - np.abs(np.arange(21.0) - 10))
        assert self.smoothed(track)[10, 0] == pytest.approx(150, abs=0.5)

    def test_unknown_frames_stay_unknown_and_spoil_no_other(self) -> None:
        """NaN gives NaN there, numbers beside it."""
        track = np.ones((9, 2))
        track[4] = np.nan
        result = self.smoothed(track)
        assert np.isnan(result[4]).all()
        assert (np.delete(result, 4, axis=0) == 1).all()


class TestFaces:
    def face(self, x: float, y: float, presence: float = 0.9) -> Reading:
        return a_reading(np.full((478, 3), (x, y, 0.0)), presence)

    def test_a_face_is_the_signers_where_the_pose_has_its_nose(self) -> None:
        """Within 0.3 units of the body, and only if the network sees one."""
        moment = a_moment()
        assert is_own(self.face(100, 40 + 23), moment)
        assert not is_own(self.face(100, 40 + 25), moment)
        assert not is_own(self.face(100, 40, 0.4), moment)

    def test_the_search_for_a_face_is_around_the_head(self) -> None:
        """A square around nose and ears, 1.1 units of the body wide; side-on the ears give the unit."""
        square = head_square(a_pose())
        assert square.centre == pytest.approx([100, (40 + 30 + 30) / 3])
        assert square.side == pytest.approx(1.1 * 80)
        pose = a_pose()
        pose[[11, 12], 0] = 100
        assert head_square(pose).side == pytest.approx(1.1 * 2 * 20)

    def test_side_on_the_ears_give_the_unit(self) -> None:
        """Shoulders one behind the other do not make the body small."""
        pose = a_pose(unit=4)
        pose[7, 0], pose[8, 0] = 115, 85
        assert body_unit(pose) == pytest.approx(60)

    def test_a_head_above_the_frame_is_not_searched(self) -> None:
        """Nothing is to be seen there."""
        pose = a_pose()
        assert head_in_frame(pose, (SIZE, SIZE))
        pose[[0, 7, 8], 1] = -5
        assert not head_in_frame(pose, (SIZE, SIZE))


class TestHands:
    def test_a_hand_mostly_outside_is_refused(self) -> None:
        """However sure the network is."""
        moment = a_moment(a_pose(right=(10.0, 120.0)))
        assert is_hand_of(a_hand(10, 120), "right", moment, 0.5)
        moment = a_moment(a_pose(right=(-10.0, 120.0)))
        assert not is_hand_of(a_hand(-10, 120), "right", moment, 0.5)

    def test_a_hand_far_from_the_wrist_is_another_persons(self) -> None:
        """Farther than what is allowed, in units of the body."""
        moment = a_moment()
        assert is_hand_of(a_hand(RIGHT[0] + 39, RIGHT[1]), "right", moment, 0.5)
        assert not is_hand_of(a_hand(RIGHT[0] + 41, RIGHT[1]), "right", moment, 0.5)

    def test_a_forearm_is_no_hand(self) -> None:
        """A palm as thin as a line is refused."""
        points = a_hand(60, 120).points
        assert not is_line(points)
        points[:, 0] = 60 + 0.05 * (points[:, 0] - 60)
        assert is_line(points)

    def test_one_hand_takes_one_slot_that_of_the_nearer_wrist(self) -> None:
        """Where both sides were followed to one hand, no second copy stays."""
        moment = a_moment(a_pose(right=(90.0, 120.0), left=(110.0, 120.0)))
        place(moment, {"right": a_hand(106, 120), "left": a_hand(107, 121)})
        assert set(moment.hands) == {"left"}

    def test_crossed_hands_stay_with_their_wrists(self) -> None:
        """Two hands side by side are two."""
        moment = a_moment(a_pose(right=(130.0, 120.0), left=(70.0, 120.0)))
        place(moment, {"right": a_hand(130, 120), "left": a_hand(70, 120)})
        assert set(moment.hands) == {"right", "left"}

    def test_a_searched_hand_must_belong_to_its_wrist(self) -> None:
        """Nearer to the other wrist, which has none, it is that one's; the one that is placed is not placed twice."""
        moment = a_moment(a_pose(right=(90.0, 120.0), left=(120.0, 120.0)))
        assert belongs(a_hand(95, 120), "right", moment)
        assert not belongs(a_hand(115, 120), "right", moment)
        moment.hands["left"] = a_hand(120, 120)
        assert belongs(a_hand(95, 120), "right", moment)
        assert not belongs(a_hand(119, 120), "right", moment)

    def test_a_hand_below_the_edge_is_not_searched(self) -> None:
        """The wrist is in the frame, the knuckles are not: it costs nothing."""
        pose = a_pose(right=(60.0, 150.0))
        assert edge_is_beyond(SHOWS, a_moment(pose), "right")
        pose[16, 1], pose[[18, 20], 1] = 190, 200
        assert not edge_is_beyond(SHOWS, a_moment(pose), "right")

    def test_a_hand_that_the_edge_cuts_off_is_searched_in_one_square(self) -> None:
        """Where a hand rests below the frame little is to be seen of it: no palm detector, no other squares."""
        pose = a_pose(right=(60.0, 150.0))
        pose[16, 1], pose[[18, 20], 1] = 170, 185
        assert edge_is_beyond(SHOWS, a_moment(pose), "right")
        assert not edge_is_beyond(WELL_INSIDE, a_moment(pose), "right")
        assert len(list(squares_of(a_moment(pose), "right"))) == 1  # no network is run

    def test_two_readings_agree_about_what_is_in_the_frame(self) -> None:
        """Joints beyond the edge are no evidence; too few within it are none either."""
        one, other = a_hand(60, 120), a_hand(60, 120)
        assert agree(one, other, (SIZE, SIZE))
        other.points[:3, :2] = (-500, -500)
        assert agree(one, other, (SIZE, SIZE))
        other.points[:11, :2] = (-500, -500)
        assert not agree(one, other, (SIZE, SIZE))


class TestPlacing:
    """Hands that the palm detector saw in a single frame, by the pose's wrists."""

    def test_the_nearest_wrist_decides_not_the_name(self) -> None:
        """Two hands with the same, wrong name each go to the wrist they are at."""
        at_left, at_right = a_hand(*LEFT, right=0.99), a_hand(*RIGHT, right=0.01)
        assert placed(a_moment(), [at_left, at_right]) == {"right": at_right, "left": at_left}

    def test_one_to_one_by_the_cheapest_total(self) -> None:
        """A hand yields its nearest wrist when that makes room for another hand."""
        moment = a_moment(a_pose(right=(90.0, 120.0), left=(110.0, 120.0)))
        one, two = a_hand(92, 120), a_hand(84, 120)
        assert placed(moment, [one, two]) == {"left": one, "right": two}

    def test_a_hand_far_from_both_wrists_is_dropped(self) -> None:
        """Another person's hand takes no slot: half a unit of the body is the limit, one where its name agrees."""
        at_left = a_hand(*LEFT)
        far = a_hand(RIGHT[0], RIGHT[1] + 41)
        assert set(placed(a_moment(), [far, at_left])) == {"left"}
        sure = replace(far, right=0.95)
        assert placed(a_moment(), [sure, at_left])["right"] is sure
        too_far = a_hand(RIGHT[0] - 60, RIGHT[1] + 60, right=0.95)
        assert "right" not in placed(a_moment(), [too_far, at_left])

    def test_distances_are_measured_in_pixels(self) -> None:
        """Whatever the shape of the frame."""
        for width, height in ((800, 200), (200, 800)):
            moment = Moment(np.zeros((height, width, 3), np.uint8), NO_NETWORKS, a_reading(a_pose()))
            assert set(placed(moment, [a_hand(RIGHT[0], RIGHT[1] + 39)])) == {"right"}
            assert placed(moment, [a_hand(RIGHT[0], RIGHT[1] + 41)]) == {}

    def test_without_a_pose_names_never_let_one_hand_overwrite_the_other(self) -> None:
        """Two hands with one name take both slots; the surer one keeps its name. A third has none."""
        sure, unsure, third = a_hand(*LEFT, right=0.9), a_hand(*RIGHT, right=0.6), a_hand(100, 60, right=0.55)
        assert named([unsure, sure, third]) == {"right": sure, "left": unsure}
        left = a_hand(*RIGHT, right=0.1)
        assert named([left]) == {"left": left}


def test_whole_pixels_are_their_middles() -> None:
    """In the result 0 and 1 are the frame's edges: the middle of the first pixel is half of a pixel away from 0."""
    points = in_frame_sizes(np.array([[0.0, 0.0, 10.0], [199.0, 99.0, 0.0]]), (200, 100))
    assert points[0] == pytest.approx([0.5 / 200, 0.5 / 100, 10 / 200])
    assert points[1] == pytest.approx([199.5 / 200, 99.5 / 100, 0])
