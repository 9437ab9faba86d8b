"""A report without names: pseudonyms for signers and videos, and nothing that could hold a name or a path."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from kpsbatch.dataset.video import Unit
from kpsbatch.pictures.report.findings import common_text, plain_words
from kpsbatch.pictures.report.gather import ReportData
from kpsbatch.privacy import pseudonyms


def without_names(data: ReportData) -> ReportData:
    """What a report shows, with pseudonyms; hosts, commands, logs, frames and texts of errors are left out."""
    told = [each.signer for each in data.videos] + [each.signer for each in data.failures]
    signers = {"": "", **pseudonyms("signer", filter(None, (*(row.unit.signer for row in data.units), *told)))}
    pairs = [*((each.unit, each.name) for each in data.videos), *((each.unit, each.name) for each in data.failures)]
    videos = pseudonyms("video", (f"{unit.name}/{name}" for unit, name in pairs))

    def unit_of(unit: Unit) -> Unit:
        return unit._replace(signer=signers[unit.signer])

    def video_of(unit: Unit, name: str) -> str:
        return videos.get(f"{unit.name}/{name}", "video")

    return replace(
        data,
        units=[replace(row, unit=unit_of(row.unit), host="") for row in data.units],
        videos=[
            each._replace(unit=unit_of(each.unit), name=video_of(each.unit, each.name), signer=signers[each.signer])
            for each in data.videos
        ],
        failures=[
            each._replace(
                unit=unit_of(each.unit),
                name=video_of(each.unit, each.name),
                error=plain_words(each.error) or common_text(each.error),
                output="",
                task=None,
                signer=signers[each.signer],
            )
            for each in data.failures
        ],
        bad_examples=[(unit_of(unit), video_of(unit, name), "", "") for unit, name, _, _ in data.bad_examples],
        runs=[
            run.model_copy(update={"run": f"run {number}", "host": "", "command": [], "log": None, "error": ""})
            for number, run in enumerate(data.runs, 1)
        ],
        hosts=Counter(),
        unreadable_records=["one" for _ in data.unreadable_records],
        named={(unit_of(unit), video_of(unit, name)): (unit, name) for unit, name in pairs},
    )
