"""The pointer policy written plainly: one query, one sequence, one step at a time, nothing batched, padded or shared.

What the vectorised policy must equal, forward and gradient, for every combination of settings.
"""

from __future__ import annotations

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
                rows.append(step(policy, *known, chosen)[choice] if choice != -1 else torch.zeros(()))
                chosen.append(choice)
    return torch.stack(rows).view(sequences.shape)


def step(
    policy: PointerPolicy, start: torch.Tensor, units: torch.Tensor, alone: torch.Tensor, chosen: list[int]
) -> dict[int, torch.Tensor]:
    """The log-probability of every choice after `chosen`."""
    state = state_after(policy, start, units[chosen], len(chosen))
    left = [position for position in range(len(units)) if position not in chosen]
    scores = [score(policy, state, units[i], alone[i]) + sum(gains(policy, start, units, chosen, i)) for i in left]
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


def encoded(
    policy: PointerPolicy, query: torch.Tensor, pool: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The query [H] and its candidates [K, H], compared with each other in the first step; what each scores alone."""
    alone = torch.stack([scored_alone(policy, query, candidate) for candidate in pool])
    encoder, settings = policy.encoder, policy.settings
    values = pool @ encoder.input_proj.weight.T
    if encoder.candidate_encoder is not None:
        values = encoder.candidate_encoder(values[None], torch.ones(1, len(values), dtype=torch.bool))[0]
    state = encoder.input_proj.weight @ query
    for attention, norm in zip(encoder.cross_attn_layers, encoder.attn_norms, strict=True):
        seen, _ = functional.multi_head_attention_forward(
            state[None, None],
            values[:, None],
            values[:, None],
            len(state),
            settings.heads,
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
        state = norm(state + seen[0, 0])
    if settings.feed_forward:
        state, values = encoder.query_feed_forward(state), encoder.cand_feed_forward(values)
    start = unit(encoder.query_proj.weight @ state)
    units = torch.stack([unit(encoder.cand_proj.weight @ value) for value in values])
    if policy.refinement is None:
        return start, units, alone
    first = step_scores(policy, start, units, alone)
    best = sorted(range(len(units)), key=lambda i: -first[i])[: policy.refinement.top_m]
    tokens = torch.stack([start + policy.refinement.query_mark, *units[best]])
    refined = policy.refinement.block(tokens[None], torch.ones(1, len(tokens), dtype=torch.bool))[0, 1:]
    after = [unit(refined[best.index(i)]) if i in best else units[i] for i in range(len(units))]
    return start, torch.stack(after), alone


def scored_alone(policy: PointerPolicy, query: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """What an embedded candidate scores for an embedded query whatever was chosen: nothing, or cosines and prior."""
    if policy.settings.start == "random":
        return torch.zeros(())
    similarity = (query @ candidate * 1e5).round() / 1e5
    if not policy.settings.prior:
        return similarity
    prior = policy.prior
    centred = (candidate - candidate.mean()) / (candidate.var(correction=0) + prior.norm.eps).sqrt()
    normed = centred * prior.norm.weight + prior.norm.bias
    inside = functional.gelu(prior.up.weight @ normed + prior.up.bias)
    return similarity + prior.down.weight[0] @ inside + prior.down.bias[0]


def step_scores(policy: PointerPolicy, start: torch.Tensor, units: torch.Tensor, alone: torch.Tensor) -> list[float]:
    """The scores before anything is chosen."""
    state = state_after(policy, start, units[:0], 0)
    return [
        (score(policy, state, units[i], alone[i]) + sum(gains(policy, start, units, [], i))).item()
        for i in range(len(units))
    ]


def state_after(policy: PointerPolicy, start: torch.Tensor, chosen: torch.Tensor, number: int) -> torch.Tensor:
    """The query state [H] after choosing [n, H]."""
    settings, memory = policy.settings, policy.memory
    state = start
    if settings.decoding == "parallel":
        state = unit(state + memory.down(functional.gelu(memory.up(state) + memory.slots.weight[number])))
    elif settings.memory == "gpt2":
        tokens = torch.stack([start, *chosen])
        state = unit(start + memory.transformer(inputs_embeds=tokens[None]).last_hidden_state[0, -1])
    else:
        for one in chosen:
            if settings.memory == "gate":
                gate = torch.sigmoid(memory.query_update_gate(torch.cat([state, one])))
                state = unit(gate * state + (1 - gate) * one)
            elif settings.memory == "gru":
                state = unit(memory.cell(one[None], state[None])[0])
    if settings.step_embedding:
        state = unit(state + policy.step_embedding.weight[number])
    return state


def score(policy: PointerPolicy, state: torch.Tensor, candidate: torch.Tensor, alone: torch.Tensor) -> torch.Tensor:
    """How well a candidate fits the state, and what it scores alone."""
    settings = policy.settings
    if settings.start == "similarity":
        scale = policy.scorer.scale if settings.scorer == "cosine" else 1.0
        return (scale * learned(policy, state, candidate) + alone) / policy.log_temperature.exp()
    return learned(policy, state, candidate) / (1.0 if settings.scorer == "additive" else settings.temperature)


def learned(policy: PointerPolicy, state: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """What the scorer says of a candidate, without scale and temperature."""
    scorer = policy.scorer
    if policy.settings.scorer == "additive":
        inside = scorer.of_query.weight @ state + scorer.of_query.bias + scorer.of_candidate.weight @ candidate
        return scorer.value.weight[0] @ torch.tanh(inside)
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
