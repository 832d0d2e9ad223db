"""Sequences over a whole bank: at each step the entries with the highest scores are the choices.

The shortlist of a step holds the M entries whose score, gains apart, is highest for the state the sequence is in. It is
recomputed after every choice, and recorded, so that the probabilities of old, new and reference policy are of the same
choices. With M >= N nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from shotsmith.policies.bank import highest
from shotsmith.policies.candidates import Candidates
from shotsmith.policies.entries import Entries
from shotsmith.policies.parts import Encoded, Gain, Network, State
from shotsmith.policies.protocol import STOP, BankInputs, Chosen


@dataclass(frozen=True, slots=True)
class BankWalk:
    """Sequences whose shortlists are retrieved as they grow (decoding.Walk). No gradient."""

    policy: Network
    inputs: BankInputs
    query: torch.Tensor
    """[B, H], the encoded queries."""
    entries: Entries
    """The entries that are scored: all N, or those that searches find."""

    @property
    def columns(self) -> int:
        """M, or N if that is less."""
        return min(self.policy.shortlist, len(self.inputs.bank))

    def start(self) -> State:
        """Before the first choice."""
        return self.retrieved(self.unretrieved())

    def unretrieved(self) -> State:
        """The state before the first choice, without a shortlist."""
        return {
            "step": torch.zeros(len(self.query), 1, dtype=torch.int64, device=self.query.device),
            "chosen": torch.zeros(len(self.query), 1, 0, dtype=torch.int64, device=self.query.device),
            "history": self.query.new_zeros(len(self.query), 1, 0, self.columns, dtype=torch.int64),
            **self.policy.begin(self.query),
        }

    def retrieved(self, state: State, wanted: torch.Tensor | None = None) -> State:
        """The state with its shortlist [B, G, M] and the scores of that, gains not counted.

        Rows in `wanted` [B, G] are on it whatever their score, unless negative.
        """
        queries, vectors = self._asked(state)
        self.entries.look(vectors, wanted)
        scores = self.scores(state)
        searched = scores
        if wanted is not None:
            place = self.entries.places(wanted).clamp(min=0)[..., None]
            forced = torch.where(wanted[..., None] >= 0, torch.inf, scores.gather(-1, place))
            searched = scores.scatter(-1, place, forced)
        places = highest(searched, self.columns)
        found = self._scored_apart(queries, places) if vectors is None else scores.gather(-1, places.clamp(min=0))
        return {**state, "shortlist": self.entries.rows(places), "scores": found.masked_fill(places < 0, -torch.inf)}

    def scores(self, state: State) -> torch.Tensor:
        """Scores [B, G, U] by which entries are retrieved; -inf for what cannot be chosen."""
        queries, vectors = self._asked(state)
        scores = self._searched(vectors, queries.shape[1])
        if self.entries.hidden is not None:
            scores = self._shown(scores, self.entries.hidden)
        shape = (*scores.shape[:2], -1)
        barred = self.inputs.bank.excluded(self.inputs.barred)[:, None].expand(shape)
        return without(scores, self.entries.places(torch.cat([barred, state["chosen"].expand(shape)], dim=-1)))

    def log_probs(self, state: State) -> torch.Tensor:
        """Log-probabilities [B, G, C] of the next choice."""
        scores = state["scores"]
        if self.policy.gain_parts:
            listed, chosen = (self.entries.places(state[name]) for name in ("shortlist", "chosen"))
            gains = gains_of(self.policy, self.query, self.entries.candidates, listed, chosen)
            scores = scores + gains.masked_fill(state["shortlist"] < 0, 0.0)
        return self.policy.distribution(self.policy.asked(state), scores, state["step"])

    def advance(self, state: State, choice: torch.Tensor) -> State:
        """After the choices [B, G], columns of the shortlist. Negative ones end a sequence."""
        return self.retrieved(self.follow(state, choice))

    def follow(self, state: State, choice: torch.Tensor) -> State:
        """What `advance` does, without the next shortlist."""
        shape = (*choice.shape, -1)
        shortlist = state["shortlist"].expand(shape)
        row = shortlist.gather(-1, choice.clamp(min=0)[..., None]).squeeze(-1).clamp(min=0)
        return {
            "step": (state["step"] + 1).expand(choice.shape),
            "chosen": torch.cat([state["chosen"].expand(shape), row[..., None]], dim=-1),
            "history": torch.cat(
                [state["history"].expand(*choice.shape, -1, -1), shortlist[:, :, None]],
                dim=2,
            ),
            **self.policy.follow(state, self.entries.candidates.encoded[self.entries.places(row)]),
        }

    def _asked(self, state: State) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The query states [B, G, H], and the scorer's vectors for them if it has any."""
        queries = self.policy.asked(state)
        return queries, self.policy.scorer.vectors(queries)

    def _searched(self, vectors: torch.Tensor | None, number: int) -> torch.Tensor:
        """Scores [B, G, N] by which entries are retrieved; cosines take the place of what is no inner product."""
        candidates = self.entries.candidates
        if vectors is None:
            total = self.inputs.bank.similarity(self.inputs.queries, candidates.embeddings)[:, None]
        else:
            total = vectors @ candidates.keys.T
            if self.entries.similarity is not None:
                total = total + self.entries.similarity[:, None]
        if candidates.prior is not None:
            total = total + candidates.prior
        return (total / self.policy.temperature).expand(len(self.query), number, -1)

    def _shown(self, scores: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """`scores` [B, G, U] without what is hidden [B, U], and wide enough for a shortlist."""
        missing = max(0, self.columns - scores.shape[-1])
        return functional.pad(scores.masked_fill(hidden[:, None], -torch.inf), (0, missing), value=-torch.inf)

    def _scored_apart(self, queries: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Scores [B, G, M] of retrieved entries by a scorer that needs each pair of query state and key."""
        entries = self.entries
        pairs = queries[:, :, None], places[:, :, None]
        return scores_of(self.policy, entries.candidates, *pairs, entries.similarity)[:, :, 0]


def step_distributions(
    policy: Network,
    inputs: BankInputs,
    query: torch.Tensor,
    candidates: Candidates,
    shortlists: torch.Tensor,
    sequences: torch.Tensor,
) -> torch.Tensor:
    """Log-probabilities [B, G, T, C] of the recorded choices, differentiable.

    `query` [B, H] are the encoded queries and `candidates` U entries of the bank; `shortlists` [B, G, T, M] and
    `sequences` [B, G, T] are places in these entries; -1 pads, STOP ends a sequence.
    """
    states = _states(policy, query, candidates, sequences)
    similarity = None
    if policy.similar:
        similarity = policy.unlearned(inputs.queries, candidates.embeddings)
    scores = scores_of(policy, candidates, states, shortlists, similarity).masked_fill(shortlists < 0, -torch.inf)
    if policy.gain_parts:
        steps = range(sequences.shape[-1])
        earlier = [sequences[..., :t].clamp(min=0) for t in steps]
        gains = [gains_of(policy, query, candidates, shortlists[:, :, t], earlier[t]) for t in steps]
        scores = scores + torch.stack(gains, dim=2).masked_fill(shortlists < 0, 0.0)
    # Nothing is recorded at padded steps; finite values there keep gradients finite.
    scores = scores.masked_fill((sequences == -1)[..., None], 0.0)
    number = torch.arange(sequences.shape[-1], device=sequences.device).expand(sequences.shape)
    return policy.distribution(states, scores, number)


def located(walk: BankWalk, shown: torch.Tensor) -> Chosen:
    """What policies.protocol.Policy.locate says."""
    shape, columns, shortlists, log_probs = shown.shape, [], [], []
    # Each sequence has a shortlist of its own from the first step on.
    state: State = {name: entry.expand(-1, shape[1], *entry.shape[2:]) for name, entry in walk.unretrieved().items()}
    for step in range(shape[-1]):
        row = shown[..., step]
        state = walk.retrieved(state, row)
        shortlist = state["shortlist"]
        column = (shortlist == row[..., None]).int().argmax(-1)
        column = torch.where(row < 0, row, column)
        distribution = walk.log_probs(state)
        place = torch.where(row == STOP, distribution.shape[-1] - 1, column.clamp(min=0))
        log_probs.append(distribution.gather(-1, place[..., None]).squeeze(-1).masked_fill(row == -1, 0.0))
        columns.append(column)
        shortlists.append(shortlist)
        if step + 1 < shape[-1]:
            state = walk.follow(state, column)
    weights = torch.ones(shape[:2], device=shown.device)
    return Chosen(torch.stack(columns, -1), torch.stack(log_probs, -1), weights, torch.stack(shortlists, 2))


def scores_of(
    policy: Network,
    candidates: Candidates,
    queries: torch.Tensor,
    rows: torch.Tensor,
    similarity: torch.Tensor | None,
) -> torch.Tensor:
    """Scores [B, G, T, M] of `rows` for states [B, G, T, H], gains not counted; what stands at -1 has no meaning.

    `similarity` is [B, U].
    """
    picked = rows.clamp(min=0)
    vectors = policy.scorer.vectors(queries)
    if vectors is not None:
        scores = _products(vectors, candidates.keys, picked)
    else:
        keys = candidates.keys[picked].flatten(0, 2)
        scores = policy.scorer(queries.flatten(0, 2)[:, None], keys)[:, 0].view(picked.shape)
    if similarity is not None:
        scores = scores + similarity.gather(-1, picked.flatten(1)).view(picked.shape)
    if candidates.prior is not None:
        scores = scores + candidates.prior[picked]
    return scores / policy.temperature


def _products(vectors: torch.Tensor, keys: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Inner products [B, G, T, M] of vectors [B, G, T, H] with the keys [U, H] at `rows` [B, G, T, M].

    Shortlists of one query have most of their entries in common. Each query's different entries are listed once, all
    its vectors are multiplied with these, and the products asked for are picked.
    """
    asked = rows.flatten(1)
    listed = torch.zeros(len(rows), len(keys), dtype=torch.bool, device=rows.device).scatter_(1, asked, True)
    number = listed.cumsum(1) - 1
    query, entry = listed.nonzero(as_tuple=True)
    entries = rows.new_zeros(len(rows), int(number[:, -1].max()) + 1)
    entries[query, number[query, entry]] = entry
    products = vectors.flatten(1, 2) @ keys[entries].mT
    return products.gather(-1, number.gather(1, asked).view(*products.shape[:2], -1)).view(rows.shape)


def gains_of(
    policy: Network, query: torch.Tensor, candidates: Candidates, rows: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """What the gains add to the scores of `rows` [B, G, M] after the choice of `chosen` [B, G, t]: [B, G, M].

    Gains follow a fixed list of candidates. Each sequence gets a list of its own: its shortlist and its choices.
    """
    shape = torch.broadcast_shapes(rows.shape[:2], chosen.shape[:2])
    listed = torch.cat([rows.expand(*shape, -1), chosen.expand(*shape, -1)], dim=-1).flatten(0, 1).clamp(min=0)
    size = rows.shape[-1]
    encoded = Encoded(
        query=query[:, None].expand(*shape, -1).flatten(0, 1),
        candidates=candidates.encoded[listed],
        mask=torch.ones_like(listed, dtype=torch.bool),
    )
    total = encoded.query.new_zeros(len(listed), 1, listed.shape[-1])
    for gain in policy.gain_parts:
        total = total + _after(gain, encoded, range(size, listed.shape[-1]))
    return total[:, 0, :size].view(*shape, size)


def _after(gain: Gain, encoded: Encoded, positions: Sequence[int]) -> torch.Tensor:
    state = gain.start(encoded)
    for position in positions:
        choice = torch.full((len(encoded.query), 1), position, dtype=torch.int64, device=encoded.query.device)
        state = gain.advance(encoded, state, choice)
    return gain.gain(encoded, state)


def _states(policy: Network, query: torch.Tensor, candidates: Candidates, sequences: torch.Tensor) -> torch.Tensor:
    """What the policy asks for before every step of `sequences` [B, G, T]: [B, G, T, H]."""
    shape = sequences.shape
    state = {
        **policy.begin(query),
        "step": torch.zeros(shape[0], 1, dtype=torch.int64, device=sequences.device),
    }
    states = [policy.asked(state).expand(*shape[:2], -1)]
    for choice in sequences.unbind(-1)[:-1]:
        step = (state["step"] + 1).expand(choice.shape)
        state = {**policy.follow(state, candidates.encoded[choice.clamp(min=0)]), "step": step}
        states.append(policy.asked(state))
    return torch.stack(states, dim=2)


def without(scores: torch.Tensor, excluded: torch.Tensor) -> torch.Tensor:
    """`scores` [B, G, N] with -inf at the `excluded` rows [B, G, X]; negative ones exclude nothing."""
    padded = functional.pad(scores, (0, 1))
    padded.scatter_(-1, torch.where(excluded < 0, scores.shape[-1], excluded), -torch.inf)
    return padded[..., :-1]
