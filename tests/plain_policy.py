"""The pointer policy written plainly: one query, one sequence, one step at a time, nothing batched, padded or shared.

What the vectorised policy must equal, forward and gradient, for every combination of settings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from shotsmith.policies.gains.dpp import RIDGE
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import STOP, Inputs


def plain_log_prob(policy: PointerPolicy, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
    """Log-probability of each step [B, G, T]; 0 where padded."""
    rows = []
    for query, candidates, mask, group in zip(inputs.queries, inputs.candidates, inputs.mask, sequences, strict=True):
        assert mask.sort(descending=True).values.equal(mask), "padding is at the end"
        known = encoded(policy, query, candidates[mask])
        for sequence in group.tolist():
            chosen: list[int] = []
            for choice in sequence:
                rows.append(step(policy, known, chosen)[choice] if choice != -1 else torch.zeros(()))
                chosen.append(choice)
    return torch.stack(rows).view(sequences.shape)


@dataclass
class Known:
    """A query and its candidates, encoded."""

    start: torch.Tensor
    """[H]: the query state before the first choice."""
    units: torch.Tensor
    """[K, H], unit length: what memory and gains see of the candidates."""
    compared: torch.Tensor
    """[K, H]: what states are compared with."""
    alone: torch.Tensor
    """[K]: what candidates score whatever was chosen."""


def step(policy: PointerPolicy, known: Known, chosen: list[int]) -> dict[int, torch.Tensor]:
    """The log-probability of every choice after `chosen`."""
    state = state_after(policy, known.start, known.units[chosen], len(chosen))
    left = [position for position in range(len(known.units)) if position not in chosen]
    scores = [whole_score(policy, known, state, chosen, i) for i in left]
    found = {}
    if policy.stop is not None:
        if not left:
            return {STOP: torch.zeros(())}
        features = torch.cat([state, torch.stack(scores).max()[None], torch.tensor([float(len(chosen))])])
        logit = policy.stop.down(functional.gelu(policy.stop.up(features)))[0]
        found[STOP] = torch.log(torch.sigmoid(logit))
        go_on = torch.log(1 - torch.sigmoid(logit))
    else:
        go_on = torch.zeros(())
    normaliser = torch.logsumexp(torch.stack(scores), 0)
    return found | {i: value - normaliser + go_on for i, value in zip(left, scores, strict=True)}


def encoded(policy: PointerPolicy, query: torch.Tensor, pool: torch.Tensor) -> Known:
    """The query and its candidates, compared with each other in the first step."""
    alone = torch.stack([scored_alone(policy, query, candidate) for candidate in pool])
    similar = policy.settings.start == "similarity"
    start, compared = (encoded_residually if similar else encoded_from_scratch)(policy, query, pool)
    known = Known(start, torch.stack([unit(one) for one in compared]), compared, alone)
    if policy.refinement is None:
        return known
    state = state_after(policy, start, compared[:0], 0)
    first = [whole_score(policy, known, state, [], i).item() for i in range(len(pool))]
    best = sorted(range(len(pool)), key=lambda i: -first[i])[: policy.refinement.top_m]
    tokens = torch.stack([start + policy.refinement.query_mark, *compared[best]])
    refined = policy.refinement.block(tokens[None], torch.ones(1, len(tokens), dtype=torch.bool))[0, 1:]
    after = list(compared)
    for place, i in enumerate(best):
        change = policy.refinement.weight * (refined[place] - compared[i]) if similar else 0
        after[i] = compared[i] + change if similar else unit(refined[place])
    return Known(start, torch.stack([unit(one) for one in after]), torch.stack(after), alone)


def encoded_from_scratch(
    policy: PointerPolicy, query: torch.Tensor, pool: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The query state [H] and the candidates [K, H] of a policy without cosines."""
    encoder, settings = policy.encoder, policy.settings
    values = pool @ encoder.input_proj.weight.T
    if encoder.candidate_encoder is not None:
        values = encoder.candidate_encoder(values[None], torch.ones(1, len(values), dtype=torch.bool))[0]
    state = encoder.input_proj.weight @ query
    for attention, norm in zip(encoder.cross_attn_layers, encoder.attn_norms, strict=True):
        state = norm(state + read(policy, attention, state, values))
    if settings.feed_forward:
        state, values = encoder.query_feed_forward(state), encoder.cand_feed_forward(values)
    return unit(encoder.query_proj.weight @ state), torch.stack([unit(encoder.cand_proj.weight @ v) for v in values])


def encoded_residually(
    policy: PointerPolicy, query: torch.Tensor, pool: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The query state [H] and the candidates [K, H] of a policy that starts as similarity."""
    encoder = policy.encoder

    def projected(values: torch.Tensor, addition: nn.Module | None) -> torch.Tensor:
        through = encoder.projection @ values
        return through if addition is None else through + addition(values[None])[0]

    state = projected(query, encoder.of_query)
    values = torch.stack([projected(candidate, encoder.of_candidate) for candidate in pool])
    for attention in encoder.attention_layers:
        state = state + read(policy, attention, state, torch.stack([encoder.projection @ one for one in pool]))
    if encoder.candidate_encoder is not None:
        together = encoder.candidate_encoder(values[None], torch.ones(1, len(values), dtype=torch.bool))[0]
        values = values + encoder.candidate_weight * (together - values)
    return state, values


def read(policy: PointerPolicy, attention: nn.Module, state: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """What the query [H] reads from candidates [K, H]."""
    seen, _ = functional.multi_head_attention_forward(
        state[None, None],
        values[:, None],
        values[:, None],
        len(state),
        policy.settings.heads,
        attention.in_proj_weight,
        attention.in_proj_bias,
        None,
        None,
        False,
        0.0,
        attention.out_proj.weight,
        attention.out_proj.bias,
        training=False,
    )
    return seen[0, 0]


def scored_alone(policy: PointerPolicy, query: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """What an embedded candidate scores for an embedded query whatever was chosen: nothing, or the cosines without what
    the projections have of them, and the prior."""
    if policy.settings.start == "random":
        return torch.zeros(())
    projection = policy.encoder.projection
    similarity = (query @ candidate * 1e5).round() / 1e5 - (projection @ query) @ (projection @ candidate)
    if not policy.settings.prior:
        return similarity
    prior = policy.prior
    centred = (candidate - candidate.mean()) / (candidate.var(correction=0) + prior.norm.eps).sqrt()
    normed = centred * prior.norm.weight + prior.norm.bias
    inside = functional.gelu(prior.up.weight @ normed + prior.up.bias)
    return similarity + prior.down.weight[0] @ inside + prior.down.bias[0]


def state_after(policy: PointerPolicy, start: torch.Tensor, chosen: torch.Tensor, number: int) -> torch.Tensor:
    """The query state [H] after choosing [n, H]."""
    if policy.settings.start == "random":
        state = remembered(policy, start, chosen, number)
        return unit(state + policy.step_embedding.weight[number]) if policy.settings.step_embedding else state
    move = remembered(policy, unit(start), chosen, number)
    state = start + (move if policy.settings.memory == "residual" else policy.shift.weight @ move)
    return state + policy.step_embedding.weight[number] if policy.settings.step_embedding else state


def remembered(policy: PointerPolicy, start: torch.Tensor, chosen: torch.Tensor, number: int) -> torch.Tensor:
    """What the memory gives [H] after choosing [n, H]."""
    settings, memory = policy.settings, policy.memory
    state = start
    if settings.decoding == "parallel":
        return unit(state + memory.down(functional.gelu(memory.up(state) + memory.slots.weight[number])))
    if settings.memory == "gpt2":
        tokens = torch.stack([start, *chosen])
        return unit(start + memory.transformer(inputs_embeds=tokens[None]).last_hidden_state[0, -1])
    if settings.memory == "residual":
        moved = torch.zeros_like(start)
        for one in chosen:
            moved = moved + memory.down(functional.gelu(memory.up(torch.cat([start, moved, one]))))
        return unit(start + moved) if settings.start == "random" else moved
    for one in chosen:
        if settings.memory == "gate":
            gate = torch.sigmoid(memory.query_update_gate(torch.cat([state, one])))
            state = unit(gate * state + (1 - gate) * one)
        elif settings.memory == "gru":
            state = unit(memory.cell(one[None], state[None])[0])
    return state


def whole_score(
    policy: PointerPolicy, known: Known, state: torch.Tensor, chosen: list[int], candidate: int
) -> torch.Tensor:
    """Everything that a candidate scores."""
    learned = score(policy, state, known.compared[candidate])
    added = sum(gains(policy, known.start, known.units, chosen, candidate))
    if policy.settings.start == "similarity":
        return (learned + known.alone[candidate]) / policy.log_temperature.exp() + added
    return learned / (1.0 if policy.settings.scorer == "additive" else policy.settings.temperature) + added


def score(policy: PointerPolicy, state: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """How well a candidate fits the state."""
    scorer = policy.scorer
    if policy.settings.scorer == "additive":
        inside = scorer.of_query.weight @ state + scorer.of_query.bias + scorer.of_candidate.weight @ candidate
        product = state @ candidate if policy.settings.start == "similarity" else 0
        return scorer.value.weight[0] @ torch.tanh(inside) + product
    if policy.settings.scorer == "bilinear":
        candidate = scorer.weight @ candidate
    return state @ candidate


def gains(
    policy: PointerPolicy, start: torch.Tensor, units: torch.Tensor, chosen: list[int], candidate: int
) -> list[torch.Tensor]:
    """What every gain adds for a candidate."""
    return [
        functional.softplus(part.weight) * GAINS[name](part, start, units, chosen, candidate)
        for name, part in policy.gains.items()
    ]


def mmr(_gain: nn.Module, _start: torch.Tensor, units: torch.Tensor, chosen: list[int], candidate: int) -> torch.Tensor:
    return -(units[chosen] @ units[candidate]).max() if chosen else torch.zeros(())


def coverage(
    gain: nn.Module, start: torch.Tensor, units: torch.Tensor, chosen: list[int], candidate: int
) -> torch.Tensor:
    wanted = torch.softmax(gain.prototypes @ start, 0)

    def covered(which: list[int]) -> torch.Tensor:
        return wanted @ (1 - (1 - torch.softmax(units[which] @ gain.prototypes.T, -1)).prod(0))

    return covered([*chosen, candidate]) - covered(chosen)


def dpp(gain: nn.Module, _start: torch.Tensor, units: torch.Tensor, chosen: list[int], candidate: int) -> torch.Tensor:
    features = torch.stack([unit(gain.features.weight @ value) for value in units])
    kernel = features @ features.T + RIDGE * torch.eye(len(units))
    whole = [*chosen, candidate]
    return torch.logdet(kernel[whole][:, whole]) - torch.logdet(kernel[chosen][:, chosen])


def dpp_max_similarity(
    gain: nn.Module, start: torch.Tensor, units: torch.Tensor, chosen: list[int], candidate: int
) -> torch.Tensor:
    alone = [dpp(gain, start, units, [one], candidate) for one in chosen]
    return torch.stack(alone).min() if alone else dpp(gain, start, units, [], candidate)


GAINS = {"mmr": mmr, "coverage": coverage, "dpp": dpp, "dpp_max_similarity": dpp_max_similarity}


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm()
