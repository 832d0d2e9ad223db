"""What the reports of Lever-Plus suggest after a training, each suggestion as one command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shotsmith.reports.facts import Facts
from shotsmith.reports.language import Statement
from shotsmith.reports.steps import Step

CHECKPOINTS = "results/okvqa/model_cpk/v3_RandSampler_Qwen2_5-VL-3B-Instruct"
"""Where its training leaves a checkpoint for every epoch."""

RATES = (2e-5, 1e-5)
"""Learning rates between those of scheme 5 and scheme 6."""

_SCHEME_5, _SCHEME_6 = 5e-6, 5e-5
_INFERENCE = "bash scripts/inference.sh vqa okvqa_local 0 query_img_text_icd_img_text rand_sampler qwen2.5_vl_3B v3 800"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One thing to try."""

    key: str
    """test_epoch, shaping, curriculum, rate."""
    name: str
    """What its reports call it, or the figure that is tried."""
    command: str


def suggestions(phase: str, epoch: int, rate: float) -> Iterator[Suggestion]:
    """What is suggested after a training at learning rate `rate` whose best epoch by Val Loss is `epoch` of `phase`."""
    file = f"{CHECKPOINTS}/{phase}_epoch{epoch}.pt"
    yield Suggestion("test_epoch", str(epoch), f"LEVER_LM_CHECKPOINT_PATH={file} {_INFERENCE}")
    for key, scheme in (("shaping", 8), ("curriculum", 9)):
        if rate != _SCHEME_5:
            both = f"5+6+{scheme}" if rate == _SCHEME_6 else f"5+{scheme}, {written(rate)}"
            yield Suggestion(key, both, _run(scheme, re.sub(r"\W+", "-", f"scheme{both}"), rate))
        yield Suggestion(key, f"5+{scheme}", _run(scheme))
    for tried in RATES:
        if tried != rate:
            yield Suggestion("rate", written(tried), _run(6, f"scheme6-lr-{written(tried)}", tried))


def after_training(facts: Facts) -> Iterator[Step]:
    """The suggestions after the training of a log; none after a run, or where the log tells no learning rate."""
    rate, best = facts.settings.get("grpo.learning_rate"), facts.best["val_loss"]
    if facts.is_log and isinstance(rate, int | float) and best:
        for each in suggestions(best[0]["phase"], best[0]["epoch"], rate):
            yield Step(Statement(f"next.{each.key}", {"name": each.name}), each.command)


def written(rate: float) -> str:
    """A learning rate as people write it: 2e-5."""
    return re.sub(r"e-0*", "e-", f"{rate:g}")


def _run(scheme: int, name: str | None = None, rate: float | None = None) -> str:
    command = f"shotsmith run recipes/predecessor/scheme{scheme}.yaml"
    if name is None or rate is None:
        return command
    return f"{command} --set name={name} --set grpo.learning_rate={written(rate)}"
