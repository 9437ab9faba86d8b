"""The measures of quality.py: plain functions of arrays. benchmarks/QUALITY.md says what each one tells, and what not.

Throughout: `keypoints` are (T, 184, 4) as kpsbatch writes them (image coordinates), `poses` are (T, 33, 4) reference
poses of the signer with NaN where there is none, `size` is the frames' width and height in pixels. A *unit* is the
distance of the signer's shoulders, or twice that of the ears where that is more (a signer who stands side-on).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from kpsbatch.points import Topology

SIDES = {"right": (Topology.RIGHT_HAND, 16, 20, 18), "left": (Topology.LEFT_HAND, 15, 19, 17)}
IRISES = [[Topology.FACE_MESH.index(i) for i in range(first, first + 4)] for first in (469, 474)]
MOUTH = [Topology.FACE_MESH.index(i) for i in (61, 291)]  # its corners
HEAD_MARKS = [2, 5, 9, 10]  # the pose's eyes and corners of the mouth
HEAD = [0, 2, 5, 9, 10]  # with the nose: what must be in the picture for a face to be seen

OWN_FACE = 0.3  # units: a face farther than this from the pose's is another person's
NEAR_WRIST = 0.5  # units: a hand farther than this from the pose's wrist is not that wrist's
RAISED = 0.85  # of the frame's height: a wrist above it is raised
SEEN_VISIBILITY = 0.5  # of the reference's wrist
SEEN_REACH = 1.5  # times the way from wrist to knuckles
SAME_HAND = 0.25  # sizes of the hand: joints closer than this on average are one hand
MEMORY = 3  # frames for which a switch of hands is looked back


def there(keypoints: np.ndarray, part: slice) -> np.ndarray:
    """(T,): in which frames a part was found; it is missing where all of its values are 0."""
    return keypoints[:, part].any(axis=(1, 2))


def inside(points: np.ndarray) -> np.ndarray:
    """Which of (..., 2) points, in frame widths and heights, are in the picture; NaN is not."""
    return ((points >= 0) & (points <= 1)).all(axis=-1)


def units(poses: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(T,): the signer's unit of length in pixels."""
    pixels = poses[..., :2] * size
    shoulders = np.linalg.norm(pixels[:, 11] - pixels[:, 12], axis=-1)
    ears = np.linalg.norm(pixels[:, 7] - pixels[:, 8], axis=-1)
    return np.fmax(np.fmax(shoulders, 2 * ears), 1)


def face_centres(keypoints: np.ndarray) -> np.ndarray:
    """(T, 2): the middle between eyes and corners of the mouth, where the pose has them too."""
    face = keypoints[:, Topology.FACE, :2]
    eyes = np.mean([face[:, iris].mean(axis=1) for iris in IRISES], axis=0)
    return (eyes + face[:, MOUTH].mean(axis=1)) / 2


def faces(keypoints: np.ndarray, poses: np.ndarray, size: tuple[int, int]) -> Counter:
    """Frames whose head is in the picture, of these with the signer's own face; all faces of other people."""
    heads = inside(poses[:, HEAD, :2]).all(axis=1)
    found = there(keypoints, Topology.FACE)
    face = face_centres(keypoints) * size
    head = poses[:, HEAD_MARKS, :2].mean(axis=1) * size
    near = np.linalg.norm(face - head, axis=1) <= OWN_FACE * units(poses, size)
    known = np.isfinite(head).all(axis=1)
    return Counter(
        heads=heads.sum(), own=(heads & found & near).sum(), other=(found & known & ~near).sum(), faces=found.sum()
    )


def can_be_seen(poses: np.ndarray, side: str) -> np.ndarray:
    """(T,): whether a hand is in the picture, by the reference pose.

    The wrist is in the picture and visible to the pose network, and so is half of the hand: the line from the wrist
    through the middle of the knuckles of index and pinky is in the picture over SEEN_REACH times that distance. There
    it has passed half of the 21 joints: so measured on hands that the lower edge cuts off, see benchmarks/QUALITY.md.
    """
    _, wrist, index, pinky = SIDES[side]
    start = poses[:, wrist, :2]
    reach = (poses[:, index, :2] + poses[:, pinky, :2]) / 2 - start
    return inside(start) & inside(start + SEEN_REACH * reach) & (poses[:, wrist, 3] >= SEEN_VISIBILITY)


def recall(keypoints: np.ndarray, poses: np.ndarray, size: tuple[int, int]) -> Counter:
    """Wrists whose hand can be seen and raised wrists, and those with a hand at them; hands far from both wrists."""
    counts: Counter = Counter(seen=0, seen_found=0, raised=0, raised_found=0, stray=0)
    unit = units(poses, size)
    wrists = {side: poses[:, wrist, :2] * size for side, (_, wrist, _, _) in SIDES.items()}
    for side, (part, wrist, _, _) in SIDES.items():
        found = there(keypoints, part)
        hand = keypoints[:, part.start, :2] * size
        away = {s: np.linalg.norm(hand - w, axis=1) / unit for s, w in wrists.items()}
        at_wrist = found & (away[side] <= NEAR_WRIST)
        seen = can_be_seen(poses, side)
        raised = inside(poses[:, wrist, :2]) & (poses[:, wrist, 1] < RAISED)
        counts["seen"] += seen.sum()
        counts["seen_found"] += (seen & at_wrist).sum()
        counts["raised"] += raised.sum()
        counts["raised_found"] += (raised & at_wrist).sum()
        counts["stray"] += (found & (np.minimum(*away.values()) > NEAR_WRIST)).sum()
    return counts


def hands(keypoints: np.ndarray, unit: float, size: tuple[int, int]) -> Counter:
    """Hands, those mostly outside the frame, frames with one hand in both slots, and switches between the slots.

    A switch: a slot's hand is farther than a quarter of a unit from where the slot's hand was, and less than half as
    far from where the other slot's hand was, in the last frame (of three) that had both.
    """
    found = {side: there(keypoints, part) for side, (part, *_) in SIDES.items()}
    pixels = {side: keypoints[:, part, :2].astype(float) * size for side, (part, *_) in SIDES.items()}
    counts: Counter = Counter(hands=0, outside=0, twice=0, switches=0)
    for side, (part, *_) in SIDES.items():
        counts["hands"] += found[side].sum()
        counts["outside"] += (found[side] & (inside(keypoints[:, part, :2]).sum(axis=1) < 10.5)).sum()
    last: tuple[int, dict[str, np.ndarray]] | None = None
    for t in range(len(keypoints)):
        now = {side: pixels[side][t] for side in SIDES if found[side][t]}
        if len(now) == 2 and same_hand(now["right"], now["left"]):
            counts["twice"] += 1
        if last is not None and t - last[0] <= MEMORY:
            for side, other in (("right", "left"), ("left", "right")):
                if side in now:
                    own, theirs = (_apart(now[side], last[1][s]) for s in (side, other))
                    counts["switches"] += own > 0.25 * unit and theirs < 0.5 * own
        if len(now) == 2:
            last = (t, now)
    return counts


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other, axis=-1).mean())


def same_hand(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two hands of (21, 2) pixels are one hand of the picture."""
    sizes = [float(np.linalg.norm(np.ptp(hand, axis=0))) for hand in (one, other)]
    return _apart(one, other) < SAME_HAND * max(*sizes, 1.0)


def jitter(keypoints: np.ndarray, size: tuple[int, int]) -> tuple[float, int]:
    """How far the shoulders stand off from frame to frame, in shoulder widths: a sum, and over how many values.

    The second difference of positions, which leaves steady motion out, divided by sqrt(6): of white noise it is the
    noise itself (the variance of a - 2 b + c is 6 times that of each).
    """
    shoulders = keypoints[:, 0:2, :2].astype(float) * size
    found = there(keypoints, Topology.POSE)
    if not found.any():
        return 0.0, 0
    width = max(float(np.median(np.linalg.norm(shoulders[found, 0] - shoulders[found, 1], axis=-1))), 1.0)
    triples = found[:-2] & found[1:-1] & found[2:]
    second = np.linalg.norm(shoulders[:-2] - 2 * shoulders[1:-1] + shoulders[2:], axis=-1)[triples]
    return float(second.sum() / np.sqrt(6) / width), second.size


def lag(keypoints: np.ndarray, image: np.ndarray, size: tuple[int, int]) -> tuple[float, float]:
    """By how many frames elbows and wrists follow those of image mode (positive: later), and the weight of that.

    The whole frames that fit best, and the rest by least squares: a track that is late by d is off by -d times the
    speed. Frames with another person (shoulders apart by half a width) and points that are off by as much are left out.
    """
    track, base = (k[:, 0:6, :2].astype(float) * size for k in (keypoints, image))
    ok = there(keypoints, Topology.POSE), there(image, Topology.POSE)
    if min(o.sum() for o in ok) < 5:
        return 0.0, 0.0
    width = max(float(np.median(np.linalg.norm(base[ok[1], 0] - base[ok[1], 1], axis=-1))), 1.0)

    def compare(shift: int) -> tuple[np.ndarray, np.ndarray]:
        t = np.arange(max(1, -shift), min(len(base) - 1, len(base) - shift))
        off = track[t + shift] - base[t]
        speed = (base[t + 1] - base[t - 1]) / 2
        usable = ok[0][t + shift] & ok[1][t] & ok[1][t - 1] & ok[1][t + 1]
        usable &= np.linalg.norm(off[:, :2], axis=-1).max(axis=1) < 0.5 * width
        good = usable[:, None] & (np.linalg.norm(off, axis=-1) < 0.5 * width)
        good &= (np.linalg.norm(speed, axis=-1) < 0.5 * width) & inside(image[t, 0:6, :2])
        good[:, :2] = False  # shoulders hardly move
        return off[good], speed[good]

    fits = {shift: _mean_length(compare(shift)[0]) for shift in range(-3, 4)}
    best = min(fits, key=lambda shift: fits[shift])
    off, speed = compare(best)
    weight = float((speed**2).sum())
    return (best - float((off * speed).sum()) / weight, weight / width**2) if weight > 0 else (0.0, 0.0)


def _mean_length(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=-1).mean()) if len(vectors) else np.inf


def measure(keypoints: np.ndarray, poses: np.ndarray, size: tuple[int, int], image: np.ndarray | None) -> Counter:
    """Everything about one clip and mode, as sums that can be added up over clips."""
    unit = units(poses, size)[np.isfinite(poses[:, 11, 0])]
    counts = Counter(frames=len(keypoints), referenced=len(unit), posed=there(keypoints, Topology.POSE).sum())
    counts += faces(keypoints, poses, size)
    counts.update(recall(keypoints, poses, size))
    counts.update(hands(keypoints, float(np.median(unit)) if len(unit) else float(max(size)), size))
    counts["jitter_sum"], counts["jitter_count"] = jitter(keypoints, size)
    if image is not None:
        late, weight = lag(keypoints, image, size)
        counts["lag_sum"], counts["lag_weight"] = late * weight, weight
    return Counter({name: float(value) for name, value in counts.items()})


def summarise(counts: Counter) -> dict[str, float | None]:
    """The figures of a mode from the sums of its clips; None where there is nothing to divide by."""

    def share(part: float, whole: str) -> float | None:
        return part / counts[whole] if counts[whole] else None

    late = share(counts["lag_sum"], "lag_weight")
    return {
        "frames": counts["frames"],
        "without_reference": counts["frames"] - counts["referenced"],
        "own_face": share(counts["own"], "heads"),
        "other_face": counts["other"],
        "raised_recall": share(counts["raised_found"], "raised"),
        "raised": counts["raised"],
        "seen_recall": share(counts["seen_found"], "seen"),
        "seen": counts["seen"],
        "hands": counts["hands"],
        "outside": counts["outside"],
        "stray": counts["stray"],
        "twice": counts["twice"],
        "switches": counts["switches"],
        "looked_again": counts["looked_again"],
        "jitter": share(counts["jitter_sum"], "jitter_count"),
        "lag": late,
        "cpu_ms": share(1000 * counts["cpu"], "frames"),
    }
