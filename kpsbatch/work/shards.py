"""Shards: the signs of one array task. Pure functions of the config."""

from __future__ import annotations

from collections.abc import Sequence

from kpsbatch.errors import ConfigError


def signs_of_shard(signs: Sequence[int], shard: int, shards: int) -> tuple[int, ...]:
    """The signs of shard `shard` (from 0) of `shards`: contiguous, sizes differ by at most one.

    Raises:
        ConfigError: `shard` is not in 0 .. shards - 1.
    """
    if shards < 1 or not 0 <= shard < shards:
        raise ConfigError(f"--shard: there is no shard {shard} of {shards}. Write I/N with I from 0 to N-1.")
    return tuple(signs[len(signs) * shard // shards : len(signs) * (shard + 1) // shards])
