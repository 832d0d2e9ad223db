"""A process that works in a run folder without doing anything: it does what it is told, line by line.

`with working(run) as worker: worker.tell("stage", "train")`. It holds the lock, notes its progress and how it ends, as
`shotsmith run` does, and starts in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shotsmith.runs import Run

Client = Callable[..., Any]
"""Makes a client of the page of some runs."""
Made = Callable[..., Run]
"""Makes a run."""


def epoch_row(epoch: int, seed: int = 0, phase: str = "grpo", **figures: float) -> dict[str, Any]:
    """A row of metrics."""
    row = {"seed": seed, "phase": phase, "epoch": epoch, "val_reward": 1.0 + 0.1 * epoch, "time/seconds": 10.0}
    if epoch:
        row |= {"reward": 1.0, "ppo_loss": -0.01, "kl": 0.1 * epoch, "entropy": 3.0, "frac_reward_zero_std": 0.2}
    return row | figures


class Worker:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self._answer() == "locked"

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, what: str, *arguments: object) -> None:
        """Let it do something, and wait until it has: an action of `_main` with its arguments."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([what, *arguments]) + "\n")
        self.process.stdin.flush()
        assert self._answer() == "done"

    def end(self) -> None:
        """Let it end as one that has done what was asked for."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextlib.contextmanager
def working(run: Run, *, ignores_interrupts: bool = False) -> Iterator[Worker]:
    """A process that works in the folder of the run, up to the end of the block at most."""
    source = Path(__file__).parents[1] / "src"
    process = subprocess.Popen(
        [sys.executable, __file__, str(run.folder), "ignore" if ignores_interrupts else "heed"],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True},
        env=os.environ | {"PYTHONPATH": str(source)},
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _main(folder: Path, interrupts: str) -> None:
    from shotsmith.attempts import attempt
    from shotsmith.progress import Advance, Silent
    from shotsmith.runs.progress_note import NotedProgress

    signal.signal(signal.SIGINT, signal.SIG_IGN if interrupts == "ignore" else signal.default_int_handler)
    run = Run.open(folder)
    noting = NotedProgress(run.progress_file, Silent(), seconds=0.05)
    with run.lock(), attempt(folder), noting as noted, contextlib.ExitStack() as tasks:
        advances: list[Advance] = []
        actions: dict[str, Callable[..., object]] = {
            "stage": noted.stage,
            "task": lambda *task: advances.append(tasks.enter_context(noted.task(*task))),
            "advance": lambda amount: advances[-1](amount),
            "epoch": run.record_epoch,
            "record": run.record,
            "fail": _fail,
        }
        _say("locked")
        for line in iter(sys.stdin.readline, ""):
            what, *arguments = json.loads(line)
            actions[what](*arguments)
            _say("done")


def _fail(message: str) -> None:
    raise RuntimeError(message)


def _say(answer: str) -> None:
    sys.stdout.write(answer + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
