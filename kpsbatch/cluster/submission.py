"""Planning a submission: what is unfinished, cut into shards."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import datetime
from pathlib import Path

from kpsbatch.config import Config
from kpsbatch.dataset.folders import places_outside
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.store.submissions import Plan, Shard
from kpsbatch.store.survey import Survey
from kpsbatch.work.run import open_outputs, refuse_uncomputable
from kpsbatch.work.todo import survey_to_do


def plan_submission(
    config: Config, *, source: Source | None = None, overwrite: bool = False, retry_failed: bool = False
) -> Plan:
    """Find what is unfinished and cut it into shards; reads listings only, writes at most an archive's index.

    Args:
        source: Its dataset, if it is open already.
        overwrite: Whether outputs of other settings are done again.
        retry_failed: Whether units of which videos failed are done again.

    Raises:
        DatasetError: The dataset is not there, or holds no video at all.
        OutputError: The output folder holds outputs made with other settings.
        ModelError: mediapipe or a network is missing.
    """
    refuse_uncomputable(config)
    outputs, _ = open_outputs(config)
    source = source or open_source(config.dataset, config.output.root / INDEX_FOLDER)
    survey = survey_to_do(source, outputs, depth="videos", overwrite=overwrite, retry_failed=retry_failed)
    to_do = [unit for unit in survey if unit.presence is not None]
    unfinished = Counter(unit.unit.sign for unit in to_do if unit.presence in ("videos", "unreadable"))
    videos = {unit.unit: len(unit.listing.videos) for unit in to_do if unit.presence == "videos" and unit.listing}
    signs, most = sorted(unfinished), config.run.chunk_size
    chunks = [tuple(signs[start : start + most]) for start in range(0, len(signs), most)]
    return Plan(
        id=f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        shards=tuple(
            Shard(
                signs=chunk,
                units=sum(unfinished[sign] for sign in chunk),
                videos={unit.name: count for unit, count in videos.items() if unit.sign in chunk},
            )
            for chunk in chunks
        ),
        overwrite=overwrite,
        retry_failed=retry_failed,
        finished=len(survey.units) - len(to_do),
        failing=0 if retry_failed else len(survey.of_state("partial", "failed")),
        missing=len(to_do) - unfinished.total(),
        settings=outputs.fingerprint.settings,
        mounts=_mounts(config, survey) if config.slurm.container is not None else (),
    )


def _mounts(config: Config, survey: Survey) -> tuple[Path, ...]:
    """Where links on the way to the videos lead, if the container does not see that anyway."""
    listings = (unit.listing for unit in survey if unit.listing is not None)
    videos = [video.path for listing in listings for video in listing.videos if video.index is None]
    seen = (config.dataset.root, config.output.root)
    return tuple(
        place for place in places_outside(config.dataset.root, videos) if not {place, *place.parents}.intersection(seen)
    )
