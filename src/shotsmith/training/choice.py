"""Which queries a step samples groups for: those whose group is likely to have rewards that differ.

A group whose rewards are all alike has no advantage and teaches nothing, yet its completions are paid for. Every place
of a step is therefore competed for by some queries in turn, and goes to the one whose group is most likely to carry
signal by what groups of similar queries, of the same number of demonstrations, showed before. Some places go to the
first query whatever is predicted, so that the prediction can be checked and no query is left out for ever.

Validation queries are never chosen so: what an epoch is judged by is unbiased.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch.nn import functional

from shotsmith.policies.inputs import InputsTable
from shotsmith.training.groups import Groups
from shotsmith.training.seeding import QueryOrder

UNIFORM = 2
"""Every so manieth place goes to the first query in turn: chosen queries alone are more often of the kinds that already
differ, and training then neglects the others."""
_REMEMBERED = 4096
_HALF_LIFE = 512
"""Groups after which an observation counts half: the policy that made it has changed."""
_TEMPERATURE = 0.1
"""Of the weight exp((cosine - 1) / temperature) of an observation of another query."""
_PRIOR = 1.0
"""Weight of the share of all groups that carried signal, beside the observations."""


class SignalPredictor:
    """Predicts whether a group carries signal, from the groups observed so far (a Nadaraya-Watson estimate)."""

    def __init__(self, inputs: InputsTable) -> None:
        self._inputs = inputs
        self._rows = torch.empty(0, dtype=torch.int64)
        self._shots = torch.empty(0, dtype=torch.int64)
        self._signal = torch.empty(0)
        self._features = torch.empty(0, inputs.embedding_width)

    def __call__(self, rows: torch.Tensor, shots: torch.Tensor) -> torch.Tensor:
        """The probability of signal of a group of each query [n] with so many demonstrations [n]: [n] in 0 to 1."""
        recent = 0.5 ** (torch.arange(len(self._rows) - 1, -1, -1) / _HALF_LIFE)
        same = (shots[:, None] == self._shots[None]).float() * recent
        base = (0.5 + same @ self._signal) / (1 + same.sum(1))
        cosine = self._embedded(rows) @ self._features.T
        weights = same * torch.exp((cosine - 1) / _TEMPERATURE)
        return (_PRIOR * base + weights @ self._signal) / (_PRIOR + weights.sum(1))

    def observe(self, rows: torch.Tensor, shots: torch.Tensor, signal: torch.Tensor) -> None:
        """Remember which groups [n] carried signal [n] bool; the oldest are forgotten."""
        self._rows = torch.cat([self._rows, rows])[-_REMEMBERED:]
        self._shots = torch.cat([self._shots, shots])[-_REMEMBERED:]
        self._signal = torch.cat([self._signal, signal.float()])[-_REMEMBERED:]
        self._features = torch.cat([self._features, self._embedded(rows)])[-_REMEMBERED:]

    def state(self) -> Mapping[str, torch.Tensor]:
        """The observations, by name."""
        return {"rows": self._rows, "shots": self._shots, "signal": self._signal}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what `state` returned."""
        self._rows, self._shots, self._signal = state["rows"], state["shots"], state["signal"]
        self._features = self._embedded(self._rows)

    def _embedded(self, rows: torch.Tensor) -> torch.Tensor:
        return functional.normalize(torch.from_numpy(self._inputs.queries[rows.numpy()]).float(), dim=1)


class QueryChoice:
    """Takes the queries of a step from their order, `candidates` for each place."""

    def __init__(self, inputs: InputsTable, order: QueryOrder, lengths: tuple[int, ...], candidates: int) -> None:
        """`lengths` are the numbers of demonstrations that take turns; with 1 candidate, queries come in turn."""
        self._predictor = SignalPredictor(inputs)
        self._order, self._lengths, self._candidates = order, lengths, candidates
        self._taken: dict[int, tuple[float, bool, int]] = {}
        self.metrics = ChoiceMetrics()

    def take(self, count: int, eligible: torch.Tensor | None) -> tuple[list[int], int]:
        """The queries of the next `count` places, and the number of places passed before."""
        position = self._order.cursor // self._candidates
        taken = torch.tensor(self._order.take(count * self._candidates, eligible)).view(count, self._candidates)
        if self._candidates == 1:
            return taken[:, 0].tolist(), position
        places = torch.arange(position, position + count)
        shots = torch.tensor(self._lengths)[places % len(self._lengths)]
        predicted = self._predictor(taken.flatten(), shots.repeat_interleave(self._candidates)).view_as(taken)
        uniform = places % UNIFORM == 0
        best = predicted.argmax(1).where(~uniform, 0)[:, None]
        queries = taken.gather(1, best)[:, 0].tolist()
        told = (predicted.gather(1, best)[:, 0].tolist(), uniform.tolist(), shots.tolist())
        self._taken = dict(zip(queries, zip(*told, strict=True), strict=True))
        return queries, position

    def observe(self, groups: Groups, signal: torch.Tensor) -> None:
        """Learn from sampled groups which of them carry signal, [B] bool; groups without any answer say nothing."""
        if self._candidates == 1:
            return
        answered = groups.valid.any(1)
        groups, signal = groups[answered], signal[answered]
        taken = [self._taken[row] for row in groups.rows.tolist()]
        rewards = (groups.values * groups.valid).sum(1) / groups.valid.sum(1)
        for (probability, uniform, _), carries, reward in zip(taken, signal.tolist(), rewards.tolist(), strict=True):
            self.metrics.add(probability, carries, reward, uniform)
        self._predictor.observe(groups.rows, torch.tensor([shots for _, _, shots in taken]), signal)

    def state(self) -> Mapping[str, torch.Tensor]:
        """What resuming needs; nothing where queries come in turn."""
        return self._predictor.state() if self._candidates > 1 else {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what `state` returned."""
        if state:
            self._predictor.restore(state)


class ChoiceMetrics:
    """How good the predictions of an epoch were, and how the chosen queries differ from those in turn."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, bool, float, bool]] = []

    def add(self, predicted: float, carries: bool, reward: float, uniform: bool) -> None:
        """A group: its predicted probability of signal, whether it carries some, its mean reward, how it was taken."""
        self._seen.append((predicted, carries, reward, uniform))

    def epoch(self) -> dict[str, float]:
        """The figures since the last call.

        `choice/predicted` and `choice/signal`: mean prediction, and share of groups with signal, of chosen queries;
        `choice/calibration_error`: mean difference of both over five bins of equal width (expected calibration error);
        `choice/signal_in_turn`: share with signal of queries in turn; `choice/reward_bias`: mean reward of the chosen
        minus that of those in turn.
        """
        seen, self._seen = self._seen, []
        chosen, in_turn = ([one for one in seen if one[3] is uniform] for uniform in (False, True))
        if not chosen or not in_turn:
            return {}
        return {
            "choice/predicted": _mean(one[0] for one in chosen),
            "choice/signal": _mean(one[1] for one in chosen),
            "choice/calibration_error": calibration_error([one[:2] for one in seen]),
            "choice/signal_in_turn": _mean(one[1] for one in in_turn),
            "choice/reward_bias": _mean(one[2] for one in chosen) - _mean(one[2] for one in in_turn),
        }


def calibration_error(predicted: list[tuple[float, bool]], bins: int = 5) -> float:
    """Expected calibration error (Naeini et al. 2015) of (probability, outcome) pairs, in bins of equal width."""
    error = 0.0
    for number in range(bins):
        inside = [pair for pair in predicted if min(int(pair[0] * bins), bins - 1) == number]
        error += abs(math.fsum(p - outcome for p, outcome in inside))
    return error / len(predicted)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
