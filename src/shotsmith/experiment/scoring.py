"""What sequences are worth: answered by the VLM and rewarded."""

from __future__ import annotations

from dataclasses import dataclass

from shotsmith.experiment.parts import Parts
from shotsmith.metrics.cider import CiderScorer
from shotsmith.records import Completion, Failure, Request, Sequence
from shotsmith.rewards import Answered, needs_captions, needs_zero_shot, reward, wanted_answers
from shotsmith.runs import Split


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answered sequence is worth."""

    reward: float
    accuracy: float
    """By the leading metric of the data (official VQA accuracy: 0 to 1)."""


class Scorer:
    """Rewards sequences of one split's queries."""

    def __init__(self, parts: Parts, split: Split) -> None:
        self._parts = parts
        self._tasks = parts.tasks(split)
        self._settings = parts.recipe.reward
        self._captions: CiderScorer | None = None
        if needs_captions(self._settings):
            self._captions = CiderScorer([example.answers for example in parts.splits.named()[split]])

    def __call__(self, pairs: list[tuple[int, Sequence]], origin: str) -> list[float | None]:
        """The reward of each (query, sequence); None where the completion failed."""
        return [None if outcome is None else outcome.reward for outcome in self.outcomes(pairs, origin)]

    def outcomes(self, pairs: list[tuple[int, Sequence]], origin: str) -> list[Outcome | None]:
        """Reward and accuracy of each (query, sequence); None where the completion failed."""
        completions = self._parts.ask([self._request(*pair) for pair in pairs], origin)
        zero_shot = self._zero_shot({query for query, _ in pairs}, origin)
        return [
            self._outcome(query, len(sequence), completion, zero_shot.get(query))
            for (query, sequence), completion in zip(pairs, completions, strict=True)
        ]

    def _request(self, query: int, sequence: Sequence) -> Request:
        example = self._tasks.queries[query]
        options = self._tasks.measure.options(example)
        wanted = dict.fromkeys((*options, *wanted_answers(example, self._settings)))
        return self._tasks.prompt(query, sequence, tuple(wanted))

    def _zero_shot(self, queries: set[int], origin: str) -> dict[int, float | Failure]:
        """The log-probability of each query's true answer with no demonstrations, where the reward needs it."""
        if not needs_zero_shot(self._settings):
            return {}
        asked = sorted(queries)
        examples = [self._tasks.queries[query] for query in asked]
        requests = [self._tasks.prompt(query, (), (self._tasks.queries[query].answer,), text=False) for query in asked]
        completions = self._parts.ask(requests, origin)
        return {
            query: completion if isinstance(completion, Failure) else completion.log_probs[example.answer]
            for query, example, completion in zip(asked, examples, completions, strict=True)
        }

    def _outcome(
        self, query: int, demonstrations: int, completion: Completion | Failure, zero_shot: float | Failure | None
    ) -> Outcome | None:
        prediction = self._tasks.prediction(query, completion)
        if isinstance(completion, Failure) or isinstance(zero_shot, Failure) or prediction is None:
            return None
        example = self._tasks.queries[query]
        answered = Answered(example, completion, demonstrations, zero_shot, self._captions)
        return Outcome(reward(answered, self._settings), self._tasks.score(query, prediction))
