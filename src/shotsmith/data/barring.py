"""Which entries of the bank a query must not be shown: itself, and whatever shows its picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shotsmith.records import Example

Rows = npt.NDArray[np.int64]


def barred_rows(queries: Sequence[Example], bank: Sequence[Example]) -> list[Rows]:
    """For each query the rows of the bank with its id or its image, ascending."""
    same: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for row, example in enumerate(bank):
        same["id", example.id].append(row)
        same["image", example.image_id].append(row)
    return [np.array(sorted({*same["id", one.id], *same["image", one.image_id]}), dtype=np.int64) for one in queries]
