"""CIDEr-D (Vedantam, Zitnick and Parikh 2015, arXiv 1411.5726): the agreement of a caption with human captions.

Captions are compared by their n-grams of 1 to 4 words, each weighted by its count and by how rare it is in a corpus
of references. The figures are those of the published implementation (pycocoevalcap) on the same words. That
package is not used: it needs Java, and takes frequencies from the captions that it scores instead of from a split.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from shotsmith.errors import DataError

_LONGEST = 4
_SIGMA = 6.0
_SCALE = 10.0

Ngram = tuple[str, ...]

_TOKEN = re.compile(
    r"""
      (?:[^\W\d_]\.){2,}         # u.s.
    | \d+(?:[.,:]\d+)+           # 1,000  2.5  10:30
    | \w+(?=n't\b) | n't\b       # do n't
    | '(?:s|m|d|re|ve|ll)\b      # dog 's
    | \bcan(?=not\b)             # can not
    | \w+(?:[-/]\w+)*            # three-year-old
    | [&$%\#@+=]
    """,
    re.VERBOSE,
)


def caption_tokens(caption: str) -> list[str]:
    """The words of a caption, close to the Penn Treebank tokeniser of the published evaluation.

    Words are in lower case, contractions are split, punctuation is dropped. Unlike in the published evaluation,
    brackets are dropped too, and "mr." loses its period.
    """
    return _TOKEN.findall(caption.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


class CiderScorer:
    """Scores captions against a corpus: the reference captions of all examples of a split.

    The corpus gives the frequency of an n-gram: the number of examples in whose references it occurs.
    """

    def __init__(self, references: Iterable[Sequence[str]]) -> None:
        """Count the n-grams of the references of all examples. Raises DataError for fewer than two examples.

        With a single one, every n-gram occurs in all examples and every score would be 0.
        """
        frequencies: Counter[Ngram] = Counter()
        examples = 0
        for captions in references:
            examples += 1
            frequencies.update(set(chain.from_iterable(_ngrams(caption_tokens(caption)) for caption in captions)))
        if examples < 2:
            raise DataError("CIDEr needs the references of at least two examples", field="answers")
        self._examples = examples
        self._frequencies = frequencies

    def score(self, caption: str, references: Sequence[str]) -> float:
        """CIDEr-D of a caption, 0 to 10, the mean over its references. Raises DataError if there are none."""
        if not references:
            raise DataError("there are no captions to compare with", field="answers")
        tokens = caption_tokens(caption)
        vectors = self._vectors(tokens)
        total = 0.0
        for reference in references:
            others = caption_tokens(reference)
            cosines = (_clipped_cosine(*pair) for pair in zip(vectors, self._vectors(others), strict=True))
            total += _length_penalty(len(tokens), len(others)) * sum(cosines) / _LONGEST
        return _SCALE * total / len(references)

    def _vectors(self, tokens: Sequence[str]) -> list[dict[Ngram, float]]:
        """The weights of a caption's n-grams, for n = 1 to 4. An n-gram outside the corpus counts as occurring once."""
        vectors: list[dict[Ngram, float]] = [{} for _ in range(_LONGEST)]
        for ngram, count in Counter(_ngrams(tokens)).items():
            rarity = math.log(self._examples) - math.log(max(1, self._frequencies[ngram]))
            vectors[len(ngram) - 1][ngram] = count * rarity
        return vectors


def _ngrams(tokens: Sequence[str]) -> list[Ngram]:
    sizes = range(1, _LONGEST + 1)
    return [tuple(tokens[start : start + n]) for n in sizes for start in range(len(tokens) - n + 1)]


def _clipped_cosine(caption: dict[Ngram, float], reference: dict[Ngram, float]) -> float:
    """Cosine of two weight vectors, those of the caption clipped to the reference, so that repetition gains nothing."""
    norms = math.hypot(*caption.values()) * math.hypot(*reference.values())
    if norms == 0:  # no n-gram of this size, or only such as every example has
        return 0.0
    shared = caption.keys() & reference.keys()
    return math.fsum(min(caption[ngram], reference[ngram]) * reference[ngram] for ngram in shared) / norms


def _length_penalty(length: int, other: int) -> float:
    return math.exp(-((length - other) ** 2) / (2 * _SIGMA**2))
