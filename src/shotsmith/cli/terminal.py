"""What long work looks like on a terminal (bars and a live table of epochs) and in a log (a line now and then)."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Group
from rich.live import Live
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from shotsmith.cli.console import Console
from shotsmith.progress import Advance, Progress, Silent
from shotsmith.reports.numbers import duration, figure, figures
from shotsmith.runs.showing import columns
from shotsmith.visible import visible

EPOCH_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("Seed", "seed", 8),
    ("Phase", "phase", 0),
    ("Epoch", "epoch", 0),
    ("Train Loss", "train_loss", 5),
    ("Val Loss", "val_loss", 3),
    ("PPO Loss", "ppo_loss", 7),
    ("KL", "kl", 4),
    ("Adv Std", "adv_std", 6),
    ("Adv Max", "adv_max", 9),
    ("Beta", "beta", 10),
    ("Reward", "reward", 2),
    ("Val Reward", "val_reward", 1),
)
"""Heading, key, and how soon a narrow terminal does without it (the highest number goes first)."""

EVERY_SECONDS = 10.0
"""How often a log hears of a task that goes on."""

_FIGURE_WIDTH = 9
_ROOM_FOR_BARS = 8


@contextlib.contextmanager
def listening(quiet: bool = False) -> Iterator[Progress]:
    """Show progress and log lines on stderr: live where it is a terminal, as lines where it is not."""
    console = Console(stderr=True)
    with _logging_to(console, logging.ERROR if quiet else logging.INFO):
        if quiet:
            yield Silent()
        elif console.is_terminal:
            with Screen(console) as screen:
                yield screen
        else:
            yield Lines(lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False))


class Screen:
    """Bars with rate and remaining time under a live table of epochs. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epochs: list[Mapping[str, object]] = []
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self._live = Live(get_renderable=self.picture, console=console, refresh_per_second=4)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    @contextlib.contextmanager
    def task(self, label: str, total: int, unit: str = "it") -> Iterator[Advance]:
        """A bar that is there while the work goes on."""
        bar = self._bars.add_task(label, total=total, unit=unit)
        try:
            yield lambda amount: self._bars.advance(bar, amount)
        finally:
            self._bars.remove_task(bar)

    def epoch(self, metrics: Mapping[str, object]) -> None:
        """A new row of the table."""
        self._epochs.append(metrics)

    def picture(self) -> Group:
        """What is on the screen now: the epochs that fit its height, then the bars."""
        if not self._epochs:
            return Group(self._bars)
        rows = max(3, self._console.height - _ROOM_FOR_BARS)
        return Group(epoch_table(self._epochs[-rows:], self._console.width), self._bars)


class Lines:
    """One line every ten seconds of a task, one at its end if it took a while, one per epoch."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock

    @contextlib.contextmanager
    def task(self, label: str, total: int, unit: str = "it") -> Iterator[Advance]:
        """Say now and then how far the work is."""
        start = said = self._clock()
        done = 0

        def advance(amount: int) -> None:
            nonlocal done, said
            done += amount
            now = self._clock()
            if now - said >= EVERY_SECONDS and done < total:
                said = now
                speed = done / (now - start)
                left = f", {duration((total - done) / speed)} left" if speed else ""
                self._say(f"{label}: {done}/{total} {unit}, {rate(speed, unit)}{left}")

        yield advance
        if (seconds := self._clock() - start) >= 1:
            self._say(f"{label}: {done}/{total} {unit} in {duration(seconds)}, {rate(done / seconds, unit)}")

    def epoch(self, metrics: Mapping[str, object]) -> None:
        """Say the row."""
        row = columns(dict(metrics))
        figures = [f"{key} {figure(row[key])}" for _, key, _ in EPOCH_COLUMNS[3:] if row[key] is not None]
        self._say(f"seed {row['seed']}, {row['phase']}, epoch {row['epoch']}: {', '.join(figures)}")


def epoch_table(epochs: Sequence[Mapping[str, object]], width: int) -> Table:
    """The table of epochs, with as many of its columns as `width` characters hold.

    The seed stays wherever there are several.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    kept = _fitting(width, several_seeds=len({epoch["seed"] for epoch in epochs}) > 1)
    for heading, key, _ in kept:
        table.add_column(heading, justify="left" if key == "phase" else "right", no_wrap=True)
    rows = [columns(dict(epoch)) for epoch in epochs]
    for cells in zip(*(figures(row[key] for row in rows) for _, key, _ in kept), strict=True):
        table.add_row(*cells)
    return table


def rate(speed: float, unit: str) -> str:
    """Units per second, or seconds per unit where that reads better."""
    return f"{speed:.1f} {unit}/s" if speed >= 1 or not speed else f"{1 / speed:.1f} s/{unit}"


class _RateColumn(ProgressColumn):
    """Rate of a task in its own unit."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else rate(task.speed, task.fields["unit"]), style="progress.data.speed")


def _fitting(width: int, several_seeds: bool) -> list[tuple[str, str, int]]:
    kept = list(EPOCH_COLUMNS)
    while sum(_width(key, heading) + 1 for heading, key, _ in kept) > width:
        kept.remove(max(kept, key=lambda column: 0 if several_seeds and column[1] == "seed" else column[2]))
    return kept


def _width(key: str, heading: str) -> int:
    return {"seed": 4, "phase": 10, "epoch": 5}.get(key, max(_FIGURE_WIDTH, len(heading)))


@contextlib.contextmanager
def _logging_to(console: Console, level: int) -> Iterator[None]:
    """Send Shotsmith's log to the console that draws the bars, so that the two do not overwrite each other."""
    logger = logging.getLogger("shotsmith")
    handler = RichHandler(console=console, show_time=False, show_path=False) if console.is_terminal else _plain()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _plain() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(_Visible("%(levelname)s %(message)s"))
    return handler


class _Visible(logging.Formatter):
    """Shows control characters of a message by their codes."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return visible(super().format(record))
