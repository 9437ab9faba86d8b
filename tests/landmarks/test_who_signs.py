"""Who the signer is: cuts, shots, the user's word, and what the record says of it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from rendered import video_of
from synthetic.signer import render_video

from kpsbatch.config import LandmarksConfig, parse_person
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.video import Box
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.landmarks import clip as clip_module
from kpsbatch.landmarks.extract import VideoKeypoints, extract, extract_people
from kpsbatch.landmarks.facts import PersonFacts, ShotFacts, VideoFacts
from kpsbatch.landmarks.moments import Reading
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.shots import CutFinder
from kpsbatch.landmarks.signer import Track, Wish, choose, median
from kpsbatch.landmarks.squares import upright_square

SIZE = (400, 200)
Frames = np.ndarray


def a_track(x: float, unit: float = 80.0, count: int = 4) -> Track:
    """Somebody who stands at x, in so many frames."""
    pose = np.zeros((39, 4))
    pose[[11, 12], :2] = [(x + unit / 2, 100), (x - unit / 2, 100)]
    reading = Reading(pose, upright_square(np.array([x, 100.0]), unit), 0.9, "d")
    return Track(dict.fromkeys(range(count), reading))


def cuts(frames: Sequence[Frames]) -> list[int]:
    finder = CutFinder()
    for frame in frames:
        finder.add(frame)
    return finder.cuts


def test_the_median_is_that_of_numpy_for_odd_and_even_counts() -> None:
    """Of numbers, points and pictures, in their own type."""
    random = np.random.default_rng(3)
    for count in (1, 2, 5, 8):
        for shape in ((), (2,), (4, 4)):
            values = [random.normal(size=shape).astype(np.float32) for _ in range(count)]
            assert np.array_equal(median(values), np.median(values, axis=0))


class TestCuts:
    scenes = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)

    def scene(self, number: int) -> Frames:
        return np.kron(self.scenes[number, :8, :8], np.ones((8, 8, 1), np.uint8))

    def test_another_picture_is_a_cut(self) -> None:
        """There, and back."""
        one, other = self.scene(0), self.scene(1)
        assert cuts([one] * 6 + [other] * 6 + [one] * 6) == [6, 12]

    def test_a_flash_is_none(self) -> None:
        """One bright frame or three, after which all is as before."""
        one, bright = self.scene(0), np.full((64, 64, 3), 250, np.uint8)
        for count in (1, 3):
            assert not {6} & set(cuts([one] * 6 + [bright] * count + [one] * 6))

    def test_a_fade_is_none(self) -> None:
        """One picture goes over into another in twelve frames."""
        one, other = self.scene(0).astype(float), self.scene(1).astype(float)
        mixed = [(one + (other - one) * min(max(t - 6, 0) / 12, 1)).astype(np.uint8) for t in range(24)]
        assert cuts(mixed)[1:] == []


class TestWord:
    people = (a_track(300, 60), a_track(60, 50), a_track(180, 90))

    @pytest.mark.parametrize(
        ("word", "x"), [("left", 60), ("right", 300), ("largest", 180), ("x=0.4", 180), ("1", 60), ("3", 300)]
    )
    def test_it_decides_whoever_signs(self, word: str, x: float) -> None:
        """By the median place over the shot."""
        chosen = choose(self.people, SIZE, Wish(word))
        assert chosen.order[0].middle[0] == pytest.approx(x)
        assert word in chosen.reason

    def test_left_is_left_in_the_picture_as_the_file_has_it(self) -> None:
        """Where frames are flipped before they are looked at, left is right."""
        assert choose(self.people, SIZE, Wish("left", mirrored=True)).order[0].middle[0] == pytest.approx(300)

    def test_a_number_that_nobody_has_is_said(self) -> None:
        """And the evidence decides."""
        assert "there is no person 4" in choose(self.people, SIZE, Wish("4")).reason

    def test_who_is_seen_now_and_then_has_no_number(self) -> None:
        """A poster that is taken for a person once does not move the others."""
        people = [*self.people, a_track(10, count=1)]
        assert choose(people, SIZE, Wish("1")).order[0].middle[0] == pytest.approx(60)

    def test_a_box_names_who_has_the_chest_in_it(self) -> None:
        """Of several in it, the user's word or the evidence; where nobody is in it, the same of all."""
        box = Box(0.1, 0.1, 0.4, 0.8, "shares")
        assert choose(self.people, SIZE, Wish("right", box)).order[0].middle[0] == pytest.approx(180)
        assert len(choose(self.people, SIZE, Wish(box=box)).order) == 2
        assert len(choose(self.people, SIZE, Wish(box=Box(0, 0, 9, 9, "pixels"))).order) == 3

    @pytest.mark.parametrize(("value", "read"), [("Left", "left"), (2, "2"), ("02", "2"), ("x = .30", "x=0.3")])
    def test_spellings(self, value: object, read: str) -> None:
        """One spelling is kept."""
        assert parse_person(value) == read

    @pytest.mark.parametrize("value", ["middle", "x=", "x=1.2", "x=.", 0, 0.3, True, "100", ""])
    def test_what_names_nobody_is_refused(self, value: object) -> None:
        """With what can be written."""
        with pytest.raises(ValueError, match="Write auto, left, right, largest"):
            parse_person(value)


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    with Networks(LandmarksConfig(), find_networks()) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def signs() -> Frames:
    """A signer who moves both hands: 16 frames of 256x256."""
    return render_video(2, 1, 1, 16)[0]


@pytest.fixture(scope="module")
def rests() -> Frames:
    """Somebody else, whose arms rest."""
    return render_video(1, 2, 1, 16, rest=0.36)[0]


def beside(left: Frames, right: Frames) -> Frames:
    return np.concatenate([left, right], axis=2)


def chests(made: VideoKeypoints) -> np.ndarray:
    """The x of the shoulders' middle in each frame, -1 where there is no pose."""
    return np.where(made.keypoints[:, 0:6].any(axis=(1, 2)), made.keypoints[:, 0:2, 0].mean(axis=1), -1)


class TestShots:
    def test_a_cut_that_moves_the_signer_empties_no_frame(self, networks: Networks, signs: Frames) -> None:
        """There and back: the signer is found anew in each shot."""
        empty = np.full_like(signs, 110)
        left, right = beside(signs, empty), beside(empty, signs)
        made = extract(video_of([*left[:8], *right[:8], *left[8:]]), networks)
        x = chests(made)
        assert (x > 0).all()
        assert (x[:8] < 0.5).all()
        assert (x[8:16] > 0.5).all()
        assert (x[16:] < 0.5).all()
        assert [(shot.first, shot.last) for shot in made.facts.shots] == [(0, 7), (8, 15), (16, 23)]
        assert made.facts.doubts == []

    def test_the_signer_is_followed_to_the_other_side(self, networks: Networks, signs: Frames, rests: Frames) -> None:
        """After a cut the two have changed places: the same one signs."""
        made = extract(video_of([*beside(signs, rests)[:8], *beside(rests, signs)[8:]]), networks)
        x = chests(made)
        assert (x[:8] < 0.5).all()
        assert (x[8:] > 0.5).all()

    def test_one_leaves_and_another_enters(self, networks: Networks, signs: Frames, rests: Frames) -> None:
        """Both have their frames; the record says that the person changes."""
        empty = np.full_like(signs, 110)
        frames = [*beside(signs, empty)[:8], *beside(empty, empty)[:4], *beside(empty, rests)[:8]]
        made = extract(video_of(frames), networks)
        x = chests(made)
        assert ((x > 0) & (x < 0.5))[:8].all()
        assert (x[8:12] == -1).all()
        assert (x[12:] > 0.5).all()
        assert any("another person" in doubt or "changes" in doubt for doubt in made.facts.doubts)

    def test_evidence_comes_from_the_whole_of_a_long_clip(
        self, networks: Networks, signs: Frames, rests: Frames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who signs after the frames that are in memory at once is the signer in those too, also from an iterator."""
        still = np.concatenate([rests[:1]] * 16)
        frames = video_of(beside(rests, np.concatenate([signs[:1]] * 8 + [signs[8:]])))
        frames = [*frames, *video_of(beside(still, signs))]
        monkeypatch.setattr(clip_module, "stretch", lambda frame_bytes: 8)
        made = extract(iter(frames), networks, again=partial(iter, frames))
        assert (chests(made) > 0.5).all()
        assert made.facts.shots[-1].last == 31


class TestUsersWord:
    def test_a_box_and_a_side_choose(self, networks: Networks, signs: Frames, rests: Frames) -> None:
        """Though the other one signs; in the whole frame's coordinates."""
        frames = video_of(beside(signs, rests)[:6])
        for wish in ({"person": "right"}, {"person": "2"}, {"box": Box(0.5, 0, 0.5, 1, "shares")}):
            arguments: dict[str, Any] = wish
            assert (chests(extract(frames, networks, **arguments)) > 0.5).all()
        made = extract(frames, networks, box=Box(0, 0, 1, 1, "shares"))
        assert (chests(made) < 0.5).all()
        assert made.facts.shots[0].reason == "in the box, signs most"

    def test_mirrored_pictures(self, networks: Networks, signs: Frames, rests: Frames) -> None:
        """Box and side are meant in the picture as the file has it."""
        frames = video_of(beside(signs, rests)[:6, :, ::-1])
        for wish in ({"person": "left"}, {"box": Box(0, 0, 0.5, 1, "shares")}):
            arguments: dict[str, Any] = wish
            x = chests(extract(frames, networks, mirrored=True, **arguments))
            assert ((x > 0) & (x < 0.5)).all()

    def test_a_box_without_anybody_fails(self, networks: Networks, signs: Frames) -> None:
        """By name, in both modes; says where people are."""
        frames = video_of(beside(signs, np.full_like(signs, 110))[:3])
        with pytest.raises(DatasetError, match=r"nobody's chest is in the box \(people at x 0\.2"):
            extract(frames, networks, box=Box(0.6, 0, 0.4, 1, "shares"))
        with (
            Networks(LandmarksConfig(running_mode="image"), find_networks()) as single,
            pytest.raises(DatasetError, match="nobody's chest"),
        ):
            extract(frames, single, box=Box(0.6, 0, 0.4, 1, "shares"))

    def test_image_mode(self, signs: Frames, rests: Frames) -> None:
        """Each frame by itself follows the user's word too."""
        frames = video_of(beside(signs, rests)[:2])
        with Networks(LandmarksConfig(running_mode="image"), find_networks()) as single:
            assert (chests(extract(frames, single, person="right")) > 0.5).all()
            x = chests(extract(frames, single, person="left"))
            assert ((x > 0) & (x < 0.5)).all()


class TestDoubts:
    def facts(self, how: str, *shots: ShotFacts) -> VideoFacts:
        return VideoFacts(frames=len(how), how={"pose": how}, shots=list(shots))

    def person(self, signs: float | None, *, chosen: bool) -> PersonFacts:
        return PersonFacts(x=0.7, y=0.4, unit=0.2, signs=signs, chosen=chosen)

    def test_no_doubt_no_word(self) -> None:
        """One person, or one who clearly signs more."""
        people = [self.person(0.5, chosen=True), self.person(0.3, chosen=False)]
        assert self.facts("dttt", ShotFacts(first=0, last=3, reason="signs most", people=people)).doubts == []

    def test_two_who_sign_nearly_as_much(self) -> None:
        """With the line of config that takes the other one."""
        people = [self.person(0.5, chosen=True), self.person(0.4, chosen=False)]
        [doubt] = self.facts("dttt", ShotFacts(first=0, last=3, reason="signs most", people=people)).doubts
        assert "dataset.person: x=0.70" in doubt

    def test_an_empty_shot_and_a_person_who_changes(self) -> None:
        """Each is told with its frames."""
        shots = ShotFacts(first=0, last=1), ShotFacts(first=2, last=3, changes=True), ShotFacts(first=4, last=5)
        assert self.facts("dt" "dt" "--", *shots).doubts == [
            "frames 2 to 3: another person than in the other shots", "frames 4 to 5: nobody",
        ]  # fmt: skip


class TestEverybody:
    """Each person of a clip has the values that asking for that person gives."""

    @pytest.mark.parametrize("length", [600, 8])
    def test_two_beside_each_other(
        self, length: int, networks: Networks, signs: Frames, rests: Frames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also of a clip that does not fit into memory, and of mirrored pictures; one that does is decoded once."""
        monkeypatch.setattr(clip_module, "stretch", lambda frame_bytes: length)
        frames, reads = video_of(beside(rests, signs)), []

        def again() -> Iterator[Frame]:
            reads.append(1)
            return iter(frames)

        people = extract_people(iter(frames), networks, again=again, mirrored=True)
        assert len(people) == 2
        assert len(reads) == (0 if length == 600 else 1)
        for number, made in enumerate(people):
            alone = extract(iter(frames), networks, again=again, mirrored=True, person=str(number + 1))
            np.testing.assert_array_equal(made.keypoints, alone.keypoints)
            assert made.facts.found == alone.facts.found
        assert (chests(people[0]) < 0.5).all()
        assert (chests(people[1]) > 0.5).all()

    def test_a_shot_with_fewer_people_has_zeros(self, networks: Networks, signs: Frames, rests: Frames) -> None:
        """The only person there is the first from the left, and is not given twice."""
        empty = np.full_like(signs, 110)
        frames = video_of([*beside(rests, signs)[:8], *beside(empty, signs)[8:]])
        one, two = extract_people(iter(frames), networks, again=partial(iter, frames))
        assert (chests(one)[8:] > 0.5).all()
        assert (chests(two)[:8] > 0.5).all()
        assert (chests(two)[8:] == -1).all()
        assert not two.keypoints[8:].any()
        assert two.facts.shots[1].reason == "person 2 is not in it"
        assert two.facts.doubts == ["person 2, frames 8 to 15: nobody"]

    @pytest.mark.parametrize("person", ["auto", "all"])
    def test_frames_are_let_go(
        self, person: str, networks: Networks, signs: Frames, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A clip of many stretches keeps about one of them in memory."""
        monkeypatch.setattr(clip_module, "stretch", lambda frame_bytes: 8)
        there: set[int] = set()
        most = 0

        def frames() -> Iterator[Frame]:
            nonlocal most
            for number, image in enumerate(np.concatenate([signs] * 4)):
                image = image.copy()
                there.add(number)
                weakref.finalize(image, there.discard, number)
                most = max(most, len(there))
                yield Frame(image, 40 * number, str(number))
                del image

        if person == "all":
            assert (
                len(extract_people(frames(), networks, again=lambda: iter(video_of(np.concatenate([signs] * 4))))) == 1
            )
        else:
            extract(frames(), networks)
        assert most <= 8 + 4

    def test_a_picture_of_nobody_is_zeros(self, networks: Networks, signs: Frames) -> None:
        frames = video_of(np.full_like(signs, 110)[:4])
        [made] = extract_people(iter(frames), networks, again=partial(iter, frames))
        assert made.keypoints.shape == (4, 184, 4)
        assert not made.keypoints.any()

    def test_single_frames_are_refused(self) -> None:
        with (
            Networks(LandmarksConfig.model_validate({"running_mode": "image"}), find_networks()) as of_images,
            pytest.raises(ConfigError, match="running_mode"),
        ):
            extract_people(iter(()), of_images, again=lambda: iter(()))


def test_frames_are_given_twice_only_where_they_do_not_fit(networks: Networks, signs: Frames) -> None:
    """A clip that fits into memory is read once."""

    def never() -> Iterator[Frame]:
        raise AssertionError("read again")
        yield

    assert (chests(extract(iter(video_of(signs[:3])), networks, again=never)) > 0).all()
