"""Runs that are killed with SIGKILL at random moments, and runs that a power loss damages: none may end differently.

A small run is done once without interruption. Then the same is killed and taken up again until it ends, over and over:
with the local VLM, with a real server on loopback, and beside a run that shares its store and is not killed. For a
damage, a run is killed once, one of its files is cut off, ended by zeros, torn in its last page or emptied, and the
run is taken up again: it must end as if nothing had happened, or with one line that names the file.

    python benchmarks/crashes.py [--kills 100] [--damages 30] [--seed 0] [--only local] [--files '*-wal'] [--json]

In a store that two runs share it depends on time who is first to ask for a prompt, and which prompts pass the VLM with
it, on which the last bits of log-probabilities depend: there, as with the server, training goes by texts alone, and
calls are not compared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from forked_runs import Content, content, differing, ended, load, loosely, started
from real_server import serving
from small_experiment import small_bank_recipe

from shotsmith.recipe import dump_recipe

SETTINGS = ("local", "served", "shared")
SMALLER = (
    *("data.world.bank=80", "data.world.train=40", "data.world.val=20", "data.world.test=20"),
    *("data.train_queries=12", "data.test_queries=6", "beam.queries=3", "grpo.epochs=2", "evaluation.oracle_tries=3"),
)
"""Beside the small recipe of the tests, so that a run takes two seconds of one core."""
WITHOUT_LOG_PROBS = ("supervised.epochs=0", "reward.answer_probability=0")
"""What can be trained by texts alone."""
PAGE = 4096
DAMAGES = ("cut", "zeros", "torn", "empty")


@dataclass
class Runs:
    """Runs of one recipe in one setting, in a folder of their own."""

    folder: Path
    recipe: Path
    overrides: Sequence[str]
    shared: Path | None = None
    """The store that they share with the other run."""

    def start(self, name: str) -> int:
        """Begin a run, or take it up again. The process's id."""
        changes = [part for override in self.overrides for part in ("--set", override)]
        if self.shared is not None:
            changes += ["--set", f"store={self.shared}"]
        if name == "other":
            changes += ["--set", "name=other", "--set", "seeds=[1]"]
        command = ["run", str(self.recipe), "--out", str(self.folder / name), "--quiet", *changes]
        return started(command, self.log(name))

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """The other run, from the start of a new store to its end; none where nothing is shared."""
        if self.shared is None:
            yield
            return
        for file in self.folder.glob(f"{self.shared.name}*"):
            file.unlink()
        shutil.rmtree(self.folder / "other", ignore_errors=True)
        other = self.start("other")
        try:
            yield
        finally:
            code = ended(other)
        if code != 0:
            raise RuntimeError(f"the other run ended with {code}: {self.log('other').read_text()[-2000:]}")

    def content(self, name: str) -> Content:
        told = content(self.folder / name, self.shared)
        return told if self.shared is None else loosely(told)


class Crashes:
    """What has been counted, and what was found."""

    def __init__(self, seed: int) -> None:
        self.draws = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.found: list[str] = []

    def kill(self, setting: str, runs: Runs, kills: int) -> None:
        """Kill runs so many times in all, and compare each that ends with one that was not killed."""
        seconds, whole = reference(runs)
        while self.counts[f"{setting}_kills"] < kills:
            name = f"run-{self.counts[f'{setting}_runs']}"
            with runs.beside():
                left = kills - self.counts[f"{setting}_kills"]
                code, killed = self._until_it_ends(runs, name, left, seconds)
            self.counts[f"{setting}_kills"] += killed
            self.counts[f"{setting}_runs"] += 1
            apart = differing(runs.content(name), whole) if code == 0 else []
            self._judge(setting, f"{name}, {killed} kills", code, runs.log(name), apart, None)
            shutil.rmtree(runs.folder / name)

    def damage(self, runs: Runs, damages: int, pattern: str) -> None:
        """Damage as many runs, each once and after a kill, in a file of this name."""
        seconds, whole = reference(runs)
        for number in range(damages):
            name = f"damaged-{number}"
            while ended(runs.start(name), self.draws.uniform(0.15, 0.9) * seconds) is not None:
                shutil.rmtree(runs.folder / name)  # it was done before it could be killed
            file = self._drawn(runs.folder / name, pattern)
            if file is None:
                self.counts["damages_without_file"] += 1
                continue
            how = self.draws.choice(DAMAGES)
            told = damaged(file.read_bytes(), how, self.draws)
            file.write_bytes(told)
            code = ended(runs.start(name))
            apart = differing(runs.content(name), whole) if code == 0 else []
            here = str(file.relative_to(runs.folder / name))
            if apart == [here] and file.read_bytes() == told:
                apart = []  # nothing has asked for it again
                self.counts["damages_not_read"] += 1
            at = f"{how} {here}"
            self._judge("damages", at, code, runs.log(name), apart, file)
            shutil.rmtree(runs.folder / name)

    def _until_it_ends(self, runs: Runs, name: str, kills: int, seconds: float) -> tuple[int | None, int]:
        for killed in range(kills):
            if (code := ended(runs.start(name), self.draws.uniform(0, seconds))) is not None:
                return code, killed
        return ended(runs.start(name)), kills

    def _drawn(self, run: Path, pattern: str) -> Path | None:
        """A file of a run that is not empty, each kind of files as likely as any other; None where there is none."""
        kinds: dict[tuple[str, ...], list[Path]] = {}
        for file in sorted(run.rglob(pattern)):
            if file.is_file() and file.stat().st_size and file.name != ".lock":
                parts = file.relative_to(run).parts
                kind = (parts[0], file.suffix) if parts[0] != "completions.vision" else parts[:1]
                kinds.setdefault(kind, []).append(file)
        return self.draws.choice(kinds[self.draws.choice(sorted(kinds))]) if kinds else None

    def _judge(
        self, setting: str, what: str, code: int | None, log: Path, apart: Sequence[str], file: Path | None
    ) -> None:
        """Count what became of a run."""
        told = log.read_text(errors="replace")
        if code == 0:
            outcome = "different" if apart else "equal"
        elif code is None:
            outcome = "hung"
        elif "Traceback" in told or code not in (1, 2) or file is None:
            outcome = "failed"
        else:
            (line,) = [line for line in told.splitlines() if line.startswith("error")][-1:] or [""]
            named = file.name in line or str(file.parent) in line or str(file.parent.parent) in line
            outcome = "named" if named else "unnamed"
        self.counts[f"{setting}_{outcome}"] += 1
        if outcome != "equal":
            self.found.append(f"{setting}: {what}: {outcome}: {', '.join(apart)[:300]} {told.strip()[-1500:]}")
            sys.stderr.write(self.found[-1] + "\n")


def reference(runs: Runs) -> tuple[float, Content]:
    """Seconds and content of a run that nothing happens to."""
    began = time.monotonic()
    with runs.beside():
        code = ended(runs.start("whole"))
    if code != 0:
        raise RuntimeError(f"the run ended with {code}: {runs.log('whole').read_text()[-2000:]}")
    return time.monotonic() - began, runs.content("whole")


def damaged(told: bytes, how: str, draws: random.Random) -> bytes:
    """A file as a power loss may leave it."""
    if how == "empty":
        return b""
    start = draws.randrange(max(0, len(told) - PAGE) if how == "torn" else 0, len(told))
    return told[:start] if how == "cut" else told[:start] + bytes(len(told) - start)


def main() -> None:
    """Print how many runs were killed and damaged, and what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="in all settings together")
    parser.add_argument("--damages", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SETTINGS, help="kill in this setting alone")
    parser.add_argument("--files", default="*", help="damage files of these names alone, such as '*-wal'")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = [options.only] if options.only else list(SETTINGS)
    crashes = Crashes(options.seed)
    load()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe = folder / "recipe.yaml"
        recipe.write_text(dump_recipe(small_bank_recipe()))
        for number, setting in enumerate(settings):
            kills = options.kills * (number + 1) // len(settings) - options.kills * number // len(settings)
            place = folder / setting
            place.mkdir()
            if not kills:
                continue
            if setting == "served":
                with serving(place) as url:
                    at = (f"vlm.server.url={url}", "vlm.server.model=vlm")
                    crashes.kill(setting, Runs(place, recipe, (*SMALLER, *WITHOUT_LOG_PROBS, *at)), kills)
            else:
                shared = place / "store.sqlite" if setting == "shared" else None
                texts = WITHOUT_LOG_PROBS if shared else ()
                crashes.kill(setting, Runs(place, recipe, (*SMALLER, *texts), shared), kills)
        if options.damages:
            (folder / "damages").mkdir()
            crashes.damage(Runs(folder / "damages", recipe, SMALLER), options.damages, options.files)
    if not options.json:
        for name, count in sorted(crashes.counts.items()):
            sys.stdout.write(f"{name:20} {count:6}\n")
    bad = ("different", "hung", "failed", "unnamed")
    equal = not any(count for name, count in crashes.counts.items() if name.endswith(bad))
    sys.stdout.write(json.dumps({"figures": dict(crashes.counts), "equal": equal}) + "\n")


if __name__ == "__main__":
    main()
