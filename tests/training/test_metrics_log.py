from __future__ import annotations

import json

import pytest

from shotsmith.training.metrics_log import MetricsLog


def row(epoch, phase="grpo", seed=0, **metrics):
    return {"seed": seed, "phase": phase, "epoch": epoch} | metrics


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_rows_are_appended_in_order(tmp_path):
    with MetricsLog(tmp_path / "m.jsonl") as log:
        log.append(row(1, reward=0.5))
        log.append(row(2, reward=None))
    assert lines(tmp_path / "m.jsonl") == [row(1, reward=0.5), row(2, reward=None)]


def test_a_torn_last_line_is_dropped_and_written_again(tmp_path):
    file = tmp_path / "m.jsonl"
    file.write_text(json.dumps(row(1)) + "\n" + json.dumps(row(2))[:-5])
    with MetricsLog(file) as log:
        log.append(row(1, reward=9.0))
        log.append(row(2, reward=0.5))
    assert lines(file) == [row(1), row(2, reward=0.5)]


def test_an_epoch_is_written_once_but_not_confused_with_that_of_another_seed_or_phase(tmp_path):
    for _ in range(2):
        with MetricsLog(tmp_path / "m.jsonl") as log:
            for one in (row(1), row(1, seed=1), row(1, phase="rce"), row(1)):
                log.append(one)
    assert lines(tmp_path / "m.jsonl") == [row(1), row(1, seed=1), row(1, phase="rce")]


def test_nan_is_never_written(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        log.append(row(1, reward=float("nan")))
    assert not (tmp_path / "m.jsonl").exists()


def test_tensorboard_shows_the_same_names_and_survives_a_restart_without_doubles(tmp_path):
    file, folder = tmp_path / "m.jsonl", tmp_path / "tensorboard" / "seed-0"
    with MetricsLog(file, folder) as log:
        log.append(row(1, **{"clip_ratio/low_mean": 0.25}))
    with MetricsLog(file, folder) as log:
        log.append(row(1, **{"clip_ratio/low_mean": 0.25}))
        log.append(row(2, **{"clip_ratio/low_mean": 0.5}))
        log.append(row(1, phase="rce", tau=2.0))
    assert scalars(folder / "grpo") == {"clip_ratio/low_mean": [(1, 0.25), (2, 0.5)]}
    assert scalars(folder / "rce") == {"tau": [(1, 2.0)]}
