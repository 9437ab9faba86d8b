"""Everything about the YAML config; its JSON Schema is in `schema.py`, which only two commands need."""

from kpsbatch.config.dataset import BoxOrder, DatasetConfig, ManifestConfig
from kpsbatch.config.loading import dump_config, explain, load_config, load_frozen_config, make_config
from kpsbatch.config.sections import (
    PART_NAMES,
    ConfidenceConfig,
    Config,
    LandmarksConfig,
    OutputConfig,
    RunConfig,
    SlurmConfig,
    parse_time,
    parts_with_points,
)
from kpsbatch.config.types import MAX_SIGN, check_name, format_signs, parse_signs

__all__ = [
    "MAX_SIGN",
    "PART_NAMES",
    "BoxOrder",
    "ConfidenceConfig",
    "Config",
    "DatasetConfig",
    "LandmarksConfig",
    "ManifestConfig",
    "OutputConfig",
    "RunConfig",
    "SlurmConfig",
    "check_name",
    "dump_config",
    "explain",
    "format_signs",
    "load_config",
    "load_frozen_config",
    "make_config",
    "parse_signs",
    "parse_time",
    "parts_with_points",
]
