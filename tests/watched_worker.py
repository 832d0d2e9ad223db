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
from collections.abc import Iterator
from pathlib import Path

from shotsmith.runs import Run


class Worker:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self._answer() == "locked"

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, what: str, *arguments: object) -> None:
        """Let it do something, and wait until it has: see `_act`."""
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
    from shotsmith.progress import Silent
    from shotsmith.runs.progress_note import NotedProgress

    signal.signal(signal.SIGINT, signal.SIG_IGN if interrupts == "ignore" else signal.default_int_handler)
    run = Run.open(folder)
    with run.lock(), attempt(folder), NotedProgress(run.progress_file, Silent(), seconds=0.05) as noted:
        with contextlib.ExitStack() as tasks:
            advances = []
            sys.stdout.write("locked\n")
            sys.stdout.flush()
            for line in iter(sys.stdin.readline, ""):
                what, *arguments = json.loads(line)
                if what == "stage":
                    noted.stage(*arguments)
                elif what == "task":
                    advances.append(tasks.enter_context(noted.task(*arguments)))
                elif what == "advance":
                    advances[-1](*arguments)
                elif what == "epoch":
                    run.record_epoch(*arguments)
                elif what == "record":
                    run.record(*arguments)
                elif what == "fail":
                    raise RuntimeError(*arguments)
                sys.stdout.write("done\n")
                sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
