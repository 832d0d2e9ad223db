"""The pointer policy: it encodes a query, then points at one demonstration after the other.

It points into a pool that the query brings along, or retrieves from a whole bank (policies.bank_walk). It is put
together from parts by the settings: encoder, memory, scorer, gains, slots, refinement, stop. A policy that starts as
similarity scores candidate c for query q in state s as

    (cos(q, c) - P q . P c + scorer(s, key(c)) + prior(c)) / temperature + gains

where cos is the sum of the cosines of image and question, and state and key start as P q and P c (policies.residual):
untrained, the score is cos / temperature, and the policy is mixed similarity search.

Axes: B queries, G sequences, T steps, K candidates, C columns (K, or K + 1 with STOP), D embedding width, H hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from shotsmith.errors import InputError
from shotsmith.policies import bank_walk, decoding
from shotsmith.policies.bank import highest, rounded
from shotsmith.policies.candidates import Candidates
from shotsmith.policies.encoder import CrossAttentionEncoder
from shotsmith.policies.entries import entries_of
from shotsmith.policies.memory import MEMORIES
from shotsmith.policies.parts import STEPS, Encoded, Gain, Memory, State
from shotsmith.policies.pool_walk import PoolWalk
from shotsmith.policies.protocol import BankInputs, Chosen, Inputs, Policy, pick, rows_of
from shotsmith.policies.refinement import Refinement
from shotsmith.policies.residual import Prior, ResidualEncoder
from shotsmith.policies.scorer import Scorer, build_scorer
from shotsmith.policies.slots import Slots
from shotsmith.policies.stop import StopHead
from shotsmith.policies.unit_length import unit_length
from shotsmith.recipe import PolicySettings
from shotsmith.recipe.policy import GAINS


def build_policy(settings: PolicySettings, embedding_width: int, seed: int, steps: int = STEPS) -> Policy:
    """An untrained policy in eval mode, for sequences of up to `steps` demonstrations where a part learns each step.

    The same seed gives the same weights; the global generator is left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PointerPolicy(settings, embedding_width, steps).eval()


class PointerPolicy(Policy):
    """A policy put together from parts (policies.protocol.Policy)."""

    def __init__(self, settings: PolicySettings, embedding_width: int, steps: int = STEPS) -> None:
        """`embedding_width` is D, the width of the embeddings it will be given; `steps` is what parts that learn
        something for every step have room for (at least STEPS)."""
        super().__init__()
        hidden = settings.hidden_size
        self.settings = settings
        self.embedding_width = embedding_width
        self.steps = max(steps, STEPS)
        self.encoder: CrossAttentionEncoder | ResidualEncoder
        self.encoder = (ResidualEncoder if self.similar else CrossAttentionEncoder)(settings, embedding_width)
        self.refinement = (
            Refinement(hidden, settings.heads, settings.top_m, settings.attention_dropout, from_zero=self.similar)
            if settings.decoding == "two_stage"
            else None
        )
        parallel = settings.decoding == "parallel"
        self.memory: Memory = Slots(hidden, self.steps) if parallel else MEMORIES[settings.memory](settings, self.steps)
        self.shift = nn.Linear(hidden, hidden, bias=False) if self.similar and settings.memory != "residual" else None
        if self.shift is not None:
            nn.init.zeros_(self.shift.weight)
        self.step_embedding = nn.Embedding(self.steps, hidden) if settings.step_embedding else None
        if self.step_embedding is not None:
            nn.init.normal_(self.step_embedding.weight, std=0.0 if self.similar else 0.02)
        self.scorer: Scorer = build_scorer(settings)
        self.gains = nn.ModuleDict({name: GAINS[name](settings) for name in settings.gains})
        self.stop = StopHead(hidden) if settings.length == "stop" else None
        self.log_temperature = nn.Parameter(torch.tensor(math.log(settings.temperature))) if self.similar else None
        self.prior = Prior(embedding_width, hidden) if self.similar and settings.prior else None

    @property
    def can_stop(self) -> bool:
        """Whether the distributions have a last column for STOP."""
        return self.stop is not None

    @property
    def learns_steps(self) -> bool:
        """Whether a part has learned something for every step, so that no sequence can have more than `steps`."""
        settings = self.settings
        return settings.decoding == "parallel" or settings.memory == "gpt2" or settings.step_embedding

    @property
    def outwards(self) -> bool:
        """Whether the first choice stands next to the query."""
        return self.settings.order == "outwards"

    @property
    def shortlist(self) -> int:
        """M: the entries of a bank that can be chosen at a step."""
        return self.settings.shortlist

    @property
    def similar(self) -> bool:
        """Whether the cosines enter the scores."""
        return self.settings.start == "similarity"

    @property
    def temperature(self) -> torch.Tensor | float:
        """What whole scores are divided by; 1 where the scorer has a temperature of its own."""
        return 1.0 if self.log_temperature is None else self.log_temperature.exp()

    @property
    def gain_parts(self) -> Sequence[Gain]:
        """The gains, in the order of the settings."""
        return cast(Sequence[Gain], list(self.gains.values()))

    def step_distributions(self, inputs: Inputs | BankInputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [B, G, T, C] at every step; -inf for padding and for candidates chosen earlier.

        At padded steps nothing but padding is excluded; what is there has no meaning.
        """
        if isinstance(inputs, BankInputs):
            return self._recorded_distributions(inputs, sequences)
        steps = self._teacher_forced(inputs, sequences)
        return torch.stack([log_probs.expand(-1, sequences.shape[1], -1) for log_probs in steps], dim=2)

    def log_prob(self, inputs: Inputs | BankInputs, sequences: torch.Tensor) -> torch.Tensor:
        """Log-probability of each step [B, G, T]; 0 where the sequence is padded."""
        if isinstance(inputs, BankInputs):
            return pick(self._recorded_distributions(inputs, sequences), sequences)
        steps = zip(self._teacher_forced(inputs, sequences), sequences.unbind(-1), strict=True)
        return torch.stack([pick(log_probs.expand(-1, choice.shape[1], -1), choice) for log_probs, choice in steps], -1)

    @torch.no_grad()
    def sample(
        self,
        inputs: Inputs | BankInputs,
        shots: int,
        num: int,
        generator: torch.Generator,
        temperature: float = 1.0,
    ) -> Chosen:
        """`num` independent sequences per query."""
        walk = self._walk_for(inputs, shots)
        return _chosen(walk, decoding.sample(walk, shots, num, generator, temperature))

    @torch.no_grad()
    def sample_distinct(
        self,
        inputs: Inputs | BankInputs,
        shots: int,
        num: int,
        generator: torch.Generator,
        temperature: float = 1.0,
    ) -> Chosen:
        """`num` different sequences per query, and their weights."""
        walk = self._walk_for(inputs, shots)
        return _chosen(walk, decoding.sample_distinct(walk, shots, num, generator, temperature))

    @torch.no_grad()
    def greedy(self, inputs: Inputs | BankInputs, shots: int) -> torch.Tensor:
        """The most probable choice at each step [B, T]; ties go to the lower position, before STOP."""
        walk = self._walk_for(inputs, shots)
        return _chosen(walk, decoding.greedy(walk, shots)).shown[:, 0]

    @torch.no_grad()
    def beam(self, inputs: Inputs | BankInputs, shots: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The best `width` sequences of a beam search, best first: [B, W, T] and log-probabilities [B, W].

        W is less than `width` where no query of the batch has so many sequences; a query with fewer than W sequences
        has rows of -1 with log-probability -inf at its end.
        """
        walk = self._walk_for(inputs, shots)
        found = _chosen(walk, decoding.beam(walk, shots, width))
        return found.shown, found.log_probs.sum(-1)

    @torch.no_grad()
    def locate(self, inputs: BankInputs, shown: torch.Tensor) -> Chosen:
        """Sequences that something else chose [B, G, T], with shortlists that hold what they chose."""
        if not self._sees_each_other:
            walk = self.walk(inputs)
            assert isinstance(walk, bank_walk.BankWalk)
            return bank_walk.located(walk, shown)
        pool = self._similar_rows(inputs, wanted=shown)
        column = (pool[:, None, None] == shown[..., None]).int().argmax(-1)
        sequences = torch.where(shown < 0, shown, column)
        shortlists = pool[:, None, None].expand(*shown.shape, -1)
        log_probs = self.log_prob(_pool_of(inputs, pool), sequences)
        return Chosen(sequences, log_probs, torch.ones_like(log_probs[..., 0]), shortlists)

    def walk(self, inputs: Inputs | BankInputs) -> PoolWalk | bank_walk.BankWalk:
        """Everything that is computed once per query."""
        if isinstance(inputs, BankInputs):
            if self._sees_each_other:
                pool = self._similar_rows(inputs)
                return self._pool_walk(_pool_of(inputs, pool), rows=pool)
            return bank_walk.BankWalk(self, inputs, self._bank_queries(inputs), entries_of(self, inputs))
        return self._pool_walk(inputs)

    def encode(self, embeddings: torch.Tensor) -> Candidates:
        """Entries of a bank [U, D] as its walks need them (policies.candidates.Retriever)."""
        encoded = self.encoder.alone(embeddings)
        prior = None if self.prior is None else self.prior(embeddings)
        return Candidates(embeddings, unit_length(encoded), self.scorer.keys(encoded), prior)

    def begin(self, query: torch.Tensor) -> State:
        """The state before the first choice, from encoded queries [B, H]; its entries are [B, 1, ...]."""
        query = query[:, None]
        if not self.similar:
            return self.memory.start(query)
        return {"query": query, **self.memory.start(unit_length(query))}

    def follow(self, state: State, chosen: torch.Tensor) -> State:
        """The state after choosing encoded candidates [B, G, H] of unit length."""
        after = self.memory.advance(state, chosen)
        return {"query": state["query"].expand_as(chosen), **after} if self.similar else after

    def asked(self, state: State) -> torch.Tensor:
        """What the next choice is compared with: [B, G, H]; of unit length, unless the policy starts as similarity."""
        queries = self.memory.query(state)
        if self.similar:
            queries = state["query"] + (queries if self.shift is None else self.shift(queries))
        if self.step_embedding is not None:
            queries = queries + self.step_embedding(state["step"])
            queries = queries if self.similar else unit_length(queries)
        return queries

    def left_out(self, queries: torch.Tensor) -> torch.Tensor | None:
        """What is missing of queries [B, D] when keys are compared; None where nothing is."""
        if not isinstance(self.encoder, ResidualEncoder) or self.settings.hidden_size >= self.embedding_width:
            return None
        return self.encoder.left_out(queries)

    def unlearned(self, queries: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """What similarity adds to the scorer's inner products: cos(q, c) - P q . P c.

        [..., D] and [..., K, D] -> [..., K], or [B, D] and [U, D] -> [B, U]. The cosines are rounded as in
        training-free search, so that both have the same ties.
        """
        assert isinstance(self.encoder, ResidualEncoder)
        lacking = self.left_out(queries)
        if candidates.dim() == 2:
            cosines = queries @ candidates.T
            return rounded(cosines) - (cosines if lacking is None else (queries - lacking) @ candidates.T)
        cosines = (candidates @ queries[..., None]).squeeze(-1)
        if lacking is None:
            return rounded(cosines) - cosines
        return rounded(cosines) - (candidates @ (queries - lacking)[..., None]).squeeze(-1)

    def distribution(self, queries: torch.Tensor, scores: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [..., C] from query states [..., H], scores [..., K] and the number chosen so far [...].

        A score of -inf cannot be chosen.
        """
        # Where everything is blocked log_softmax alone would give NaN.
        log_probs = functional.log_softmax(scores, dim=-1).masked_fill(scores == -torch.inf, -torch.inf)
        if self.stop is None:
            return log_probs
        go_on, stop = self.stop(queries, scores, step)
        return torch.cat([log_probs + go_on[..., None], stop[..., None]], dim=-1)

    @property
    def _sees_each_other(self) -> bool:
        """Whether candidates are encoded side by side: a bank is then cut to the most similar entries first."""
        return self.encoder.candidate_encoder is not None or self.refinement is not None

    def _similar_rows(self, inputs: BankInputs, wanted: torch.Tensor | None = None) -> torch.Tensor:
        """The most similar rows of the bank [B, M], those `wanted` [B, ...] among them; -1 where there are fewer."""
        excluded = inputs.bank.excluded(inputs.barred)
        scores = bank_walk.without(inputs.bank.similarity(inputs.queries)[:, None], excluded[:, None])[:, 0]
        if wanted is not None:
            rows = wanted.flatten(1)
            there = torch.where(rows < 0, -torch.inf, torch.inf)
            scores = scores.scatter_reduce(1, rows.clamp(min=0), there, "amax")
            if (most := int((scores == torch.inf).sum(1).max())) > self.settings.shortlist:
                raise InputError(
                    f"{most} demonstrations of a query do not fit on a shortlist of {self.settings.shortlist}"
                )
        return highest(scores, min(self.settings.shortlist, scores.shape[1]))

    def _bank_queries(self, inputs: BankInputs) -> torch.Tensor:
        """Encoded queries [B, H]; where they read candidates, these are the most similar entries of the bank."""
        if not self.settings.layers:
            nothing = inputs.queries[:, None]
            return self.encoder.queries(inputs.queries, nothing, nothing[..., 0] == 0)
        pool = _pool_of(inputs, self._similar_rows(inputs))
        return self.encoder.queries(pool.queries, pool.candidates, pool.mask)

    def _recorded_distributions(self, inputs: BankInputs, sequences: torch.Tensor) -> torch.Tensor:
        if inputs.shortlists is None:
            raise InputError("sequences over a bank have probabilities only with their recorded shortlists")
        if self._sees_each_other:
            return self.step_distributions(_pool_of(inputs, inputs.shortlists[:, 0, 0]), sequences)
        rows, places = inputs.shortlists.unique(return_inverse=True)
        padding = int(rows[0] < 0)
        candidates = self.encode(inputs.bank.at(rows[padding:]))
        places = places - padding
        chosen = rows_of(sequences, places)
        query = self._bank_queries(inputs)
        return bank_walk.step_distributions(self, inputs, query, candidates, places, chosen)

    def _pool_walk(self, inputs: Inputs, rows: torch.Tensor | None = None) -> PoolWalk:
        similarity = prior = None
        if self.similar:
            similarity = self.unlearned(inputs.queries, inputs.candidates)[:, None]
            prior = None if self.prior is None else self.prior(inputs.candidates)[:, None]
        alone = similarity if prior is None or similarity is None else similarity + prior
        walk = self._over(self.encoder(inputs), alone, rows)
        if self.refinement is None:
            return walk
        scores = walk.scores(walk.start())[1]
        return self._over(self.refinement(walk.encoded, scores[:, 0]), alone, rows)

    def _over(self, encoded: Encoded, alone: torch.Tensor | None, rows: torch.Tensor | None) -> PoolWalk:
        return PoolWalk(self, encoded, self.scorer.keys(encoded.compared), alone, rows)

    def _walk_for(self, inputs: Inputs | BankInputs, shots: int) -> PoolWalk | bank_walk.BankWalk:
        if isinstance(inputs, BankInputs):
            excluded = inputs.bank.excluded(inputs.barred)
            left = len(inputs.bank) - int((excluded >= 0).sum(1).max()) if len(inputs.queries) else shots
            left = min(left, self.settings.shortlist) if self._sees_each_other else left
        else:
            left = int(inputs.mask.sum(1).min()) if len(inputs.mask) else shots
        if shots > left and not self.can_stop:
            what = "bank" if isinstance(inputs, BankInputs) else "pool"
            raise InputError(f"{shots} shots cannot be taken from a {what} of {left}")
        if shots > self.steps and self.learns_steps:
            raise InputError(
                f"{shots} shots are more than the {self.steps} for which the policy was made: train one with a recipe "
                "that asks for so many, or without step_embedding, parallel decoding and the GPT-2 memory"
            )
        return self.walk(inputs)

    def _teacher_forced(self, inputs: Inputs, sequences: torch.Tensor) -> Iterator[torch.Tensor]:
        """Log-probabilities [B, G, C] before each step of `sequences`; G is 1 at the first, which all share."""
        walk = self._pool_walk(inputs)
        state = walk.start()
        yield walk.log_probs(state)
        for earlier, choice in zip(sequences.unbind(-1), sequences.unbind(-1)[1:], strict=False):
            state = walk.advance(state, earlier)
            yield walk.log_probs(walk.unblocked(state, choice == -1))


def _pool_of(inputs: BankInputs, rows: torch.Tensor) -> Inputs:
    """Some rows of the bank [B, K] as the pools of the queries; -1 pads."""
    return Inputs(inputs.queries, inputs.bank.at(rows.clamp(min=0)), rows >= 0)


def _chosen(walk: PoolWalk | bank_walk.BankWalk, found: decoding.Decoded) -> Chosen:
    shape = found.sequences.shape
    shortlists: torch.Tensor | None = None
    if isinstance(walk, bank_walk.BankWalk):
        last = found.state["shortlist"].expand(*shape[:2], -1)[:, :, None]
        earlier = found.state["history"].expand(*shape[:2], -1, -1)
        shortlists = torch.cat([earlier, last], dim=2)[:, :, : shape[2]]
    elif walk.rows is not None:
        shortlists = walk.rows[:, None, None].expand(*shape, -1)
    return Chosen(found.sequences, found.log_probs, found.weights, shortlists)
