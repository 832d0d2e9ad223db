"""Keys and values of tokens that have been computed, kept to be continued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True, slots=True)
class Kept:
    """N sequences side by side, padded to W tokens anywhere before their last."""

    keys: tuple[torch.Tensor, ...]
    """Of each layer [N, heads, W, size of a head]."""
    values: tuple[torch.Tensor, ...]
    """Likewise."""
    mask: torch.Tensor
    """[N, W] 1 at tokens, 0 at padding."""

    @classmethod
    def of(cls, cache: DynamicCache, mask: torch.Tensor) -> Kept:
        """What a cache holds after a pass under this mask."""
        layers: list[Any] = cache.layers
        return cls(tuple(layer.keys for layer in layers), tuple(layer.values for layer in layers), mask)

    def rows(self, index: torch.Tensor) -> Kept:
        """Some of the sequences."""
        keys, values = (tuple(layer[index] for layer in layers) for layers in (self.keys, self.values))
        return Kept(keys, values, self.mask[index])

    def continued(self, index: torch.Tensor, *, keep: bool) -> DynamicCache:
        """A cache for sequences that each continue one of these; any number may continue the same one.

        Only one layer's keys and values are repeated for them at a time, unless they are kept (`keep`), which takes
        a pass that is to be continued itself.
        """
        cache = DynamicCache()
        cache.layers = [
            _Continued(keys, values, index, keep) for keys, values in zip(self.keys, self.values, strict=True)
        ]
        return cache


def joined(parts: Sequence[Kept]) -> Kept:
    """All sequences, one part's after the other's, padded on the left to the widest."""
    if len(parts) == 1:
        return parts[0]
    missing = [max(part.mask.shape[1] for part in parts) - part.mask.shape[1] for part in parts]

    def together(layers: Sequence[torch.Tensor]) -> torch.Tensor:
        padded = (torch.nn.functional.pad(one, (0, 0, pad, 0)) for one, pad in zip(layers, missing, strict=True))
        return torch.cat(list(padded))

    mask = torch.cat([torch.nn.functional.pad(part.mask, (pad, 0)) for part, pad in zip(parts, missing, strict=True)])
    keys = tuple(map(together, zip(*(part.keys for part in parts), strict=True)))
    return Kept(keys, tuple(map(together, zip(*(part.values for part in parts), strict=True))), mask)


class _Continued(DynamicLayer):
    """One layer's cache: what is kept of the beginnings, before what a pass adds to them."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, index: torch.Tensor, keep: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._beginnings: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = (keys, values, index)
        self._keep = keep

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, heads, W, size] -> the same after what they continue."""
        if self._beginnings is None:
            longer: tuple[torch.Tensor, torch.Tensor] = super().update(key_states, value_states, *args, **kwargs)
            return longer
        keys, values, index = self._beginnings
        whole = torch.cat([keys[index], key_states], -2), torch.cat([values[index], value_states], -2)
        if self._keep:
            self.lazy_initialization(key_states, value_states)
            self.is_initialized = True
            self.keys, self.values = whole
            self._beginnings = None
        return whole

    def get_seq_length(self) -> int:
        """Tokens that are continued, padding included."""
        return int(super().get_seq_length() if self._beginnings is None else self._beginnings[0].shape[-2])
