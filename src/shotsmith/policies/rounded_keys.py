"""Keys in eight bits: a cheap first look that misses none of the highest scores.

A key k is rounded to r = scale * code, with a code of one byte a dimension and a scale of its own. For a vector v,
rounded to w in bfloat16,

    |v . k - w . r| <= |v| |k - r| + |v - w| |r|

and |v - w| <= |v| / 512. So whatever has one of the highest exact scores has a rounded score within twice that bound of
the highest rounded ones. Only those are scored exactly. A scan reads a quarter of the memory, which is what it costs
for one query.

Axes: N entries, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

Places = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

LEAST = 4096
"""Smaller banks are scored at once."""
_LARGEST = 127
_HALF = 2.0**-8
"""The step between numbers in bfloat16, relative to them; rounding loses half of it at most."""
_SAFETY = 1e-4
"""Added to the bound, relative to |v| |k|: what float32 sums may be off by."""

_MULTIPLE = 64
"""Codes are padded with zeros to a multiple of so many dimensions, as the products read whole blocks."""

_product: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None
_product = getattr(torch, "_weight_int8pack_mm", None)
"""x [1, H] bfloat16, codes [N, H] int8, scales [N] bfloat16 -> [1, N] bfloat16. Not a public function of torch: where
it is missing or computes something else, all keys are scored exactly, with the same result."""


class RoundedKeys:
    """The keys of a bank, rounded."""

    def __init__(self, keys: torch.Tensor) -> None:
        """`keys` [N, H] float32, on a CPU."""
        self._keys = keys.numpy()
        scales = keys.abs().amax(1).clamp_min_(torch.finfo(torch.float32).tiny) / _LARGEST
        self._scales = scales.bfloat16()
        exact = self._scales.float()[:, None]
        codes = (keys / exact).round_().clamp_(-_LARGEST, _LARGEST)
        self._codes = padded(codes.to(torch.int8))
        error = float(torch.linalg.vector_norm(keys - codes * exact, dim=1).max())
        longest = float(torch.linalg.vector_norm(codes * exact, dim=1).max())
        # Of |v|: rounding of keys, of v, and of the products that are returned.
        self._bound = error + longest * (_HALF / 2 + (1 + _HALF / 2) * _HALF / 2 + _SAFETY)

    @staticmethod
    def serve(keys: torch.Tensor) -> bool:
        """Whether a bank with these keys gains by them."""
        return keys.device.type == "cpu" and len(keys) >= LEAST and _computes_products()

    def highest(self, vector: torch.Tensor, alone: torch.Tensor, number: int, slack: float) -> tuple[Places, Scores]:
        """Places [X] in the bank, ascending, and their exact scores [X].

        Among them are the `number` highest scores, and all within `slack` of these. A score is the inner product with
        `vector` [H] plus what the entry has in `alone` [N], which may be -inf.
        """
        assert _product is not None
        products = _product(padded(vector[None].bfloat16()), self._codes, self._scales)[0]
        rounded: Scores = torch.add(alone, products).numpy()
        asked = vector.numpy()
        bound = self._bound * float(np.linalg.norm(asked))
        at_least = rounded.max() if number == 1 else np.partition(rounded, -number)[-number]
        places = np.flatnonzero(rounded >= at_least - np.float32(2 * bound + slack))
        return places, self._keys[places] @ asked + alone.numpy()[places]


def padded(rows: torch.Tensor) -> torch.Tensor:
    """[N, H] with columns of zeros up to the next multiple that products can read."""
    missing = -rows.shape[1] % _MULTIPLE
    return functional.pad(rows, (0, missing)) if missing else rows


@cache
def _computes_products() -> bool:
    """Whether this version of torch, on this machine, has the products that are described here."""
    if _product is None:
        return False
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(-_LARGEST, _LARGEST + 1, (67, 2 * _MULTIPLE), generator=generator, dtype=torch.int8)
    vector = torch.randn(1, 2 * _MULTIPLE, generator=generator).bfloat16()
    scales = torch.rand(len(codes), generator=generator).bfloat16()
    exact = (vector.double() @ codes.double().T) * scales.double()
    found = _product(vector, codes, scales).double()
    return bool(torch.allclose(found, exact, rtol=_HALF, atol=_SAFETY * float(exact.abs().max())))
