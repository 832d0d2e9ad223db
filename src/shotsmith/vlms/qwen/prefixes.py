"""Which beginnings of prompts are worth computing once: a trie over the prompts of a batch, and a rule of cost.

Under causal attention the keys and values of a prompt's first tokens depend on these alone, so prompts that begin alike
can share them (as SGLang's radix cache does, arXiv 2312.07104). A shared beginning takes a pass of its own, before
those that continue it, and every pass costs something however few tokens it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shotsmith.vlms.prompting.prompt_tokens import Ids

PASS_TOKENS = 1024
"""What a pass costs beside its tokens, in tokens. The built-in VLM starts a pass on two cores in the time of some
hundred, and computes them the faster the more stand side by side."""
GPU_PASS_TOKENS = 2560
"""The same with billions of weights on a GPU: an H200 computes as many tokens of Qwen2.5-VL-3B while the next pass is
prepared, which takes some 40 ms however few tokens it holds."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Tokens with which several prompts begin."""

    length: int
    """Tokens, counted from the start of the prompts."""
    parent: int
    """The longest shared beginning that it continues (its place in the list); -1 for none."""
    depth: int
    """How many shared beginnings it continues."""
    prompt: int
    """One of the prompts that begin so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is computed once, and what continues it."""

    beginnings: tuple[Beginning, ...]
    """Parents stand before their continuations."""
    parents: tuple[int, ...]
    """For each prompt the longest shared beginning that it continues; -1 for none."""

    @property
    def levels(self) -> int:
        """Depths of beginnings there are."""
        return 1 + max((beginning.depth for beginning in self.beginnings), default=-1)

    def length(self, beginning: int) -> int:
        """Its tokens; of none, 0."""
        return self.beginnings[beginning].length if beginning >= 0 else 0

    def depth(self, beginning: int) -> int:
        """How many it continues; of none, -1."""
        return self.beginnings[beginning].depth if beginning >= 0 else -1


def shared_beginnings(prompts: Sequence[Ids], pass_tokens: int = PASS_TOKENS) -> Plan:
    """The beginnings to compute once, for prompts given as numbers that are equal where the tokens are.

    At least the last token of a prompt is left to it: what follows the prompt is read there. Of all trees of
    beginnings the one is taken that costs the fewest tokens, when each of its levels costs two passes of `pass_tokens`
    (its own, and one of the prompts that continue it and not another).
    """
    trie = _trie(prompts)
    costs = _Costs()
    levels = 0
    while costs.tokens(trie, 0, levels) - costs.tokens(trie, 0, levels + 1) > 2 * pass_tokens:
        levels += 1
    beginnings: list[Beginning] = []
    parents = [-1] * len(prompts)

    def take(node: _Node, parent: int, depth: int) -> None:
        start = beginnings[parent].length if parent >= 0 else 0
        if not node.children:
            parents[node.prompt] = parent
        elif costs.is_shared(node, start, levels - depth):
            beginnings.append(Beginning(node.length, parent, depth, node.prompt))
            parent, depth = len(beginnings) - 1, depth + 1
        for child in node.children:
            take(child, parent, depth)

    take(trie, -1, 0)
    return Plan(tuple(beginnings), tuple(parents))


@dataclass(slots=True, eq=False)
class _Node:
    """A place where prompts part, or (without children) the end of one."""

    length: int
    prompt: int
    children: list[_Node] = field(default_factory=list)


class _Costs:
    """Tokens that the best trees of beginnings have computed, each found once."""

    def __init__(self) -> None:
        self._known: dict[tuple[_Node, int, int], int] = {}

    def tokens(self, node: _Node, start: int, levels: int) -> int:
        """Tokens after `start` of the prompts below a node, with at most so many levels of shared beginnings."""
        if not node.children:
            return node.length - start
        key = (node, start, levels)
        if key not in self._known:
            self._known[key] = min(self._apart(node, start, levels), self._shared(node, start, levels))
        return self._known[key]

    def is_shared(self, node: _Node, start: int, levels: int) -> bool:
        """Whether the tokens from `start` to the node are best computed once."""
        return self._shared(node, start, levels) < self._apart(node, start, levels)

    def _apart(self, node: _Node, start: int, levels: int) -> int:
        return sum(self.tokens(child, start, levels) for child in node.children)

    def _shared(self, node: _Node, start: int, levels: int) -> int:
        if not levels or len(node.children) < 2:
            return self._apart(node, start, levels)
        return node.length - start + self._apart(node, node.length, levels - 1)


def _trie(prompts: Sequence[Ids]) -> _Node:
    """The places where prompts part, found from what neighbours in lexicographic order begin with alike."""
    order = sorted(range(len(prompts)), key=lambda number: (prompts[number].tobytes(), number))
    root = _Node(0, -1)
    path = [root]  # to the prompt before
    for before, number in zip([None, *order], order, strict=False):
        common = 0 if before is None else _common(prompts[before], prompts[number])
        while path[-1].length > common:
            path.pop()
        if path[-1].length < common:
            node = _Node(common, number, [path[-1].children.pop()])
            path[-1].children.append(node)
            path.append(node)
        path[-1].children.append(_Node(len(prompts[number]), number))
        path.append(path[-1].children[-1])
    return root


def _common(one: Ids, other: Ids) -> int:
    """Tokens that two prompts begin with alike, the last token of neither among them."""
    size = min(len(one), len(other)) - 1
    differs = np.flatnonzero(one[:size] != other[:size])
    return int(differs[0]) if len(differs) else size
