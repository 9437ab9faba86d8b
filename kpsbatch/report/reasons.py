"""Why videos failed, in plain words: failures of one kind together, and a sentence for each kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kpsbatch.report.gather import Failure

_KINDS = (
    (r"frames are unreadable \(limit ([0-9.]+%)", "too many unreadable frames (limit {})"),
    (r"no new frame for ([0-9.]+ s)", "a frame that took more than {} (run.video_timeout)"),
    (r"when memory runs out|run\.worker_memory", "too little memory"),
    (r": has no frame\b", "no frame"),
    (r"larger than run\.max_pixels", "frames larger than run.max_pixels"),
    (r"can't be opened by FFmpeg|no video that FFmpeg|no readable frame|is cut off", "a damaged video file"),
    (r": can't be read: ([^.;]+)", "a file that can't be read ({})"),
)
"""What an error's text says, and in plain words what the video has; the first that fits counts."""


@dataclass
class Reason:
    """Failures of one kind.

    Attributes:
        words: What the videos have, such as `too many unreadable frames (limit 20%)`; or what their errors have in
            common, where these words don't know it.
        is_known: Which of both.
        failures: The videos.
    """

    words: str
    is_known: bool
    failures: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        """`5 have too many unreadable frames (limit 20%)`."""
        count = len(self.failures)
        verb = ("has" if count == 1 else "have") if self.is_known else "failed:"
        return f"{count:,} {verb} {self.words}"


def reasons_of(failures: Iterable[Failure]) -> list[Reason]:
    """Failures by their reason, the most frequent first."""
    groups: dict[str, Reason] = {}
    for failure in failures:
        words = plain_words(failure.error)
        reason = Reason(words or common_text(failure.error), bool(words))
        groups.setdefault(reason.words, reason).failures.append(failure)
    return sorted(groups.values(), key=lambda reason: -len(reason.failures))


def sentences(reasons: Sequence[Reason], most: int) -> list[str]:
    """The first reasons as text, and how many videos failed for others; together they are all."""
    rest = sum(len(reason.failures) for reason in reasons[most:])
    return [*map(str, reasons[:most]), *([f"{rest:,} failed for other reasons"] if rest else [])]


def plain_words(error: str) -> str:
    """What a video has that failed with this error; "" where no words are known."""
    for pattern, words in _KINDS:
        if match := re.search(pattern, error):
            return words.format(*match.groups())
    return ""


def common_text(error: str) -> str:
    """What errors of one kind have in common: an error's text without its names, paths and numbers."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "…", error)
    text = re.sub(r"; (?:the )?first: .*", "", text)
    text = re.sub(r"(?<![\w/])/[^:;,]*", "…", text)
    text = re.sub(r"\b[0-9]+(?:[.,][0-9]+)*", "N", text)
    return " ".join(text.split())
