"""What is known of a video besides its keypoints: what the record says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from kpsbatch.dataset.frame import Timing
from kpsbatch.stored import Stored, Text


class BadFrame(Stored):
    """A frame that could not be read, and why."""

    frame: Text
    problem: Text


class OddFrames(Stored):
    """How many names in a folder of frames are odd in one way, and the first of them."""

    count: int
    first: Text


class HandCounts(Stored):
    """Counts of hands over a video's frames.

    Attributes:
        detected: Hands that were followed, or found by the palm detector.
        recovered: Hands that were found only in an enlarged square at the pose's wrist.
        both, one, none: Frames with both hands, with one, without any.
        wrists: The pose's wrists whose hand can be seen, see `hand_can_be_seen`.
        wrists_without_hand: Of these, without a hand.
        right_wrists_without_hand, left_wrists_without_hand: The same by side; 0 in records of version 0.2 and before.
        far, twice, outside, relabelled: In records of version 0.2 and before: hands that its other modes dropped as
            far from both wrists, found twice, mostly outside the frame; and those that went to the other label's side.
    """

    detected: int = 0
    far: int = 0
    twice: int = 0
    outside: int = 0
    relabelled: int = 0
    recovered: int = 0
    both: int = 0
    one: int = 0
    none: int = 0
    wrists: int = 0
    wrists_without_hand: int = 0
    right_wrists_without_hand: int = 0
    left_wrists_without_hand: int = 0


class FaceCounts(Stored):
    """Counts of faces over a video's frames.

    Attributes:
        detected: Faces that were followed, or found by the face detector.
        recovered: Faces that were found only where the pose has the head.
        far, outside: In records of version 0.2 and before: faces that its other modes dropped.
    """

    detected: int = 0
    far: int = 0
    outside: int = 0
    recovered: int = 0


ALMOST = 0.7
"""Who signs at least this much of what the signer does is a second candidate: the choice is in doubt."""


class PersonFacts(Stored):
    """One person of a shot.

    Attributes:
        x, y: The chest's median place, in frame widths and heights.
        unit: The shoulders' distance, or twice that of the ears where that is more, in frame widths.
        probes: In how many of the frames that were searched the person is.
        signs: How much the confirmed hands move, in units of the body; None where nobody had to be chosen from.
        chosen: Whether the landmarks are this person's.
    """

    x: float
    y: float
    unit: float
    probes: int = 0
    signs: float | None = None
    chosen: bool = False


class ShotFacts(Stored):
    """One shot of a clip, and who is in it.

    Attributes:
        first, last: Its frames, of those that could be read.
        reason: Why the signer was chosen.
        people: The signer first.
        changes: Whether the signer looks like another person than in the other shots.
    """

    first: int
    last: int
    reason: str = ""
    people: list[PersonFacts] = Field(default_factory=list)
    changes: bool = False

    @property
    def doubts(self) -> Iterator[str]:
        """Why the choice of the signer may be wrong, and the setting that takes another person."""
        others = [person for person in self.people if not person.chosen]
        where = f"frames {self.first} to {self.last}"
        if self.reason.startswith("there is no person"):
            yield f"{where}: {self.reason}"
        elif "signs most" in self.reason:
            least = ALMOST * (self.people[0].signs or 0)
            if rivals := [person for person in others if (person.signs or 0) >= least]:
                yield f"{where}: somebody else signs nearly as much ({_take(rivals[0])})"
        elif "nobody signs" in self.reason and others:
            yield f"{where}: nobody of {len(self.people)} people signs ({_take(others[0])})"
        if sum(person.chosen for person in self.people) > 1:
            yield f"{where}: the signer changes"
        if self.changes:
            yield f"{where}: another person than in the other shots"


def _take(person: PersonFacts) -> str:
    return f"dataset.person: x={person.x:.2f} takes the other one"


class WorkSeconds(Stored):
    """Wall-clock seconds that a worker spent on a video, in all and of these in two of its steps."""

    total: float = 0.0
    landmarkers: float = 0.0
    decoding: float = 0.0


class FoundFrames(Stored):
    """In how many frames each part was found."""

    pose: int = 0
    face: int = 0
    right_hand: int = 0
    left_hand: int = 0

    def of(self, part: str) -> int:
        """The count of a part, by its name."""
        return int(getattr(self, part))


class VideoFacts(Timing):
    """One video that was read, and what was found in it.

    Attributes:
        frames: Its frames; rows of the array.
        bad_frames: Of these, how many could not be read: rows of zeros.
        bad_examples: The first of them.
        odd_frames: What is odd among the names in a folder of frames (`odd_frames` of reading.py).
        sizes: Frames by their size, such as {"640x480": 133}.
        found: In how many frames each part was found.
        how: How each part was found, a letter for each frame, see found.py.
        hands, faces: What became of the hands and faces that were found.
        shots: Its shots and the people in them; of `running_mode: image`, none.
        seconds: Of a worker.
        person: Which person of the video it is, from the left (1, 2, ...), where each has an array; else 0.
    """

    frames: Annotated[int, Field(ge=1)]
    bad_frames: int = 0
    bad_examples: list[BadFrame] = Field(default_factory=list)
    odd_frames: dict[str, OddFrames] = Field(default_factory=dict)
    sizes: dict[str, int] = Field(default_factory=dict)
    found: FoundFrames = FoundFrames()
    how: dict[str, str] = Field(default_factory=dict)
    hands: HandCounts = HandCounts()
    faces: FaceCounts = FaceCounts()
    shots: list[ShotFacts] = Field(default_factory=list)
    seconds: WorkSeconds = WorkSeconds()
    person: int = 0

    @property
    def stands_for_video(self) -> bool:
        """Whether its video is counted by it: of the people of a video, the first."""
        return self.person <= 1

    @property
    def doubts(self) -> list[str]:
        """Where the landmarks may be of the wrong person, or of nobody, in words."""
        found = [doubt for shot in self.shots for doubt in shot.doubts]
        pose = self.how.get("pose", "")
        if not self.bad_frames and len(self.shots) > 1 and pose.strip("-"):
            empty = [shot for shot in self.shots if not pose[shot.first : shot.last + 1].strip("-")]
            found += [f"frames {shot.first} to {shot.last}: nobody" for shot in empty]
        return [f"person {self.person}, {doubt}" for doubt in found] if self.person else found

    @property
    def aspect(self) -> float:
        """Width by height of most of its frames; 1 where that is not known."""
        size = max(self.sizes, key=lambda size: self.sizes[size], default="")
        match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", size)
        return int(match[1]) / int(match[2]) if match else 1.0
