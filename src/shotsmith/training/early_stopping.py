"""When to stop before the last epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def should_stop(rows: Iterable[Mapping[str, object]], patience: int) -> bool:
    """Whether the last `patience` validated epochs all failed to exceed the best 'val_reward' before them.

    `rows` are those of one phase in order. Epochs without a 'val_reward' do not count; patience 0 never stops.
    """
    rewards = [reward for row in rows if isinstance(reward := row.get("val_reward"), int | float)]
    return bool(patience and rewards) and len(rewards) - 1 - rewards.index(max(rewards)) >= patience
