"""Four weeks of the past, counted in bulk: the same prompts, scores and blocks as the service would have learned live."""

from typing import Any

import numpy as np

from service.main.demo.pool import Pool
from service.main.demo.script import HISTORY_DAYS, MONDAY
from service.main.demo.traffic import DAY, play_day
from service.records import Scores

BLOCKS_A_DAY = 6
"""A learning block is 240 windows of a minute."""


def learn_history(pool: Pool, scores: Scores, topics: int, seed: int) -> dict[str, Any]:
    """Arguments of a ``baseline.learn`` command (without ``model``) from the weeks before the week.

    Args:
        pool: T prompts.
        scores: what the service says of each of them, arrays of shape (T,).
        topics: reference topics of the bundle, K.
        seed: seed of the traffic.
    """
    blocks: dict[str, list[list[int]]] = {"strange": [], "far": []}
    counts = np.zeros(topics + 1, np.int64)
    topic = np.where(scores.topic < 0, topics, scores.topic)
    for day in range(-HISTORY_DAYS, 0):
        traffic = play_day(pool, seed, day)
        block = ((traffic.time - day * DAY) * BLOCKS_A_DAY / DAY).astype(np.int64)
        n = np.bincount(block, minlength=BLOCKS_A_DAY)
        for name, flagged in (("strange", scores.strange), ("far", scores.far)):
            x = np.bincount(block[flagged[traffic.text]], minlength=BLOCKS_A_DAY)
            number = int(MONDAY) // DAY + day
            blocks[name] += [[number, int(a), int(b)] for a, b in zip(n, x, strict=True)]
        counts += np.bincount(topic[traffic.text], minlength=topics + 1)
    return {"blocks": blocks, "source": f"{HISTORY_DAYS} scripted days", "topics": counts.tolist()}
