"""A small GPT-2 as memory: it reads the query and every demonstration chosen so far.

Yang et al., NeurIPS 2024, arXiv 2312.10104.
"""

from __future__ import annotations

import torch
from torch import nn

from shotsmith.errors import InputError
from shotsmith.policies.parts import State
from shotsmith.policies.unit_length import unit_length


class Gpt2Memory(nn.Module):
    """state = normalise(query + h), with h what a decoder-only transformer says after [query, chosen, ...].

    h starts at half the query's length, so that an untrained memory mostly looks for what the query says.
    """

    def __init__(self, hidden: int, layers: int, heads: int, dropout: float, steps: int) -> None:
        """`hidden` is H, `dropout` that on embeddings, attention weights and residual branches alike; after the query
        it reads at most `steps` demonstrations."""
        from transformers import GPT2Config, GPT2Model  # takes seconds, and only this memory needs it

        super().__init__()
        self.transformer = GPT2Model(
            GPT2Config(
                vocab_size=1,
                n_positions=1 + steps,
                n_embd=hidden,
                n_layer=layers,
                n_head=heads,
                embd_pdrop=dropout,
                attn_pdrop=dropout,
                resid_pdrop=dropout,
            )
        )
        del self.transformer.wte  # it reads vectors, not words
        nn.init.constant_(self.transformer.ln_f.weight, 0.5 / hidden**0.5)

    def start(self, query: torch.Tensor) -> State:
        """`gpt2.tokens` [B, 1, 1, H]: what has been read, from queries [B, 1, H]."""
        return {"gpt2.tokens": query[:, :, None]}

    def query(self, state: State) -> torch.Tensor:
        """[B, G, H], unit length. Raises InputError after more choices than there are positions for."""
        tokens = state["gpt2.tokens"]
        if tokens.shape[2] > (positions := self.transformer.config.n_positions):
            raise InputError(f"the GPT-2 memory follows at most {positions - 1} demonstrations")
        read = self.transformer(inputs_embeds=tokens.flatten(0, 1), use_cache=False).last_hidden_state
        said: torch.Tensor = read[:, -1].view_as(tokens[:, :, 0])
        return unit_length(tokens[:, :, 0] + said)

    def advance(self, state: State, chosen: torch.Tensor) -> State:
        """The state after choosing candidates [B, G, H]."""
        tokens = state["gpt2.tokens"].expand(-1, chosen.shape[1], -1, -1)
        return {"gpt2.tokens": torch.cat([tokens, chosen[:, :, None]], dim=2)}
