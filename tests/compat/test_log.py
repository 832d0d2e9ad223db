"""The predecessor's logs: what the origin of this project would have been told, and damaged logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.compat.log import evidence_of_log
from shotsmith.diagnosis.diagnose import diagnose
from shotsmith.diagnosis.evidence import evidence_of
from shotsmith.diagnosis.finding import Finding
from shotsmith.errors import InputError
from shotsmith.runs.showing import COLUMNS

HERE = Path(__file__).parents[1] / "diagnosis"
SCHEME_6, SCHEME_5 = HERE / "scheme6.md", HERE / "scheme5.log"


def told(*paths: Path) -> dict[str, Finding]:
    return {finding.key: finding for finding in diagnose(evidence_of(*paths))}


def log(folder: Path, text: str) -> Path:
    path = folder / "train.log"
    path.write_text(text, encoding="utf-8")
    return path


def test_scheme_6_has_next_to_no_signal_whatever_the_learning_rate() -> None:
    alone, compared = told(SCHEME_6), told(SCHEME_6, SCHEME_5)
    averaged = alone["advantages_averaged"].values
    assert averaged["share"] == pytest.approx(0.62, abs=0.01)
    assert (averaged["lowest"], averaged["highest"]) == (0.0062, 0.0063)
    assert alone["groups_truncated"].overrides == ["grpo.sampling.keep_top=[]"]
    rates = compared["signal_unmoved_by_rate"].values
    assert (rates["rate"], rates["other_rate"], rates["other"]) == (5e-5, 5e-6, "scheme5")
    assert "signal_unmoved_by_rate" not in alone


def test_scheme_6_is_best_in_epoch_2_and_gets_worse_from_there() -> None:
    findings = told(SCHEME_6)
    early, turned = findings["best_epoch_early"].values, findings["val_loss_turned"].values
    assert (early["epoch"], early["epochs"], early["column"]) == (2, 50, "val_loss")
    assert (turned["epoch"], turned["best"], turned["last"]) == (2, 5.15152, 5.23428)
    assert 0.0009 < turned["low"] < turned["slope"] < turned["high"] < 0.0024
    # Where there is no signal, another learning rate is not what is advised.
    assert findings["val_loss_turned"].overrides == ["grpo.patience=3"]


def test_scheme_6_has_beta_at_its_floor_and_a_kl_of_noise() -> None:
    findings = told(SCHEME_6)
    assert (findings["beta_at_floor"].values["beta"], findings["beta_at_floor"].values["bound"]) == (0.001, 0.001)
    assert findings["kl_is_noise"].values["first"] == 0.03542


def test_the_sign_of_the_ppo_loss_of_scheme_6_means_nothing() -> None:
    finding = told(SCHEME_6)["ppo_loss_sign"]
    assert (finding.severity, finding.values["positive"], finding.values["negative"]) == ("note", 2, 6)


def test_scheme_6_was_never_on_policy_and_nothing_else_is_claimed() -> None:
    assert told(SCHEME_6).keys() == {
        "groups_truncated", "advantages_averaged", "kl_is_noise", "beta_at_floor", "never_on_policy",
        "val_loss_turned", "best_epoch_early", "ppo_loss_sign",
    }  # fmt: skip


def test_bold_marks_missing_cells_and_unknown_columns_are_read_over() -> None:
    evidence = evidence_of_log(SCHEME_6)
    assert [row["epoch"] for row in evidence.epochs] == [1, 2, 3, 4, 5, 22, 49, 50]
    second = evidence.epochs[1]
    assert (second["train_loss"], second["val_loss"], second["beta"]) == (0.00009, 5.15152, 0.001)
    assert evidence.epochs[0]["beta"] is None
    assert all(COLUMNS.keys() <= row.keys() and row["phase"] == "grpo" for row in evidence.epochs)
    assert evidence.settings["grpo.learning_rate"] == 5e-5 and evidence.settings["grpo.beta"] == 0.1


@pytest.mark.parametrize(
    "text",
    [
        "Epoch Train Loss Val Loss PPO Loss\n1 -0.5 5.1 -0.0004\n2 0.25 5.2 3e-5",
        "Epoch\tTrain Loss\tVal Loss\tPPO Loss\n1\t-0.5\t5.1\t-0.0004\n2\t0.25\t5.2\t3e-5",
        "epoch,train_loss,val_loss,ppo_loss\n1,-0.5,5.1,-0.0004\n2,0.25,5.2,3e-5",
        "starting\n\n| Epoch | Train Loss | Val Loss | PPO Loss |\n|:--|--:|--:|--|\n"
        "| 1 | \N{MINUS SIGN}0.5 | 5.1 | **-0.0004** |\n| 2 | 0.25 | 5.2 | 3e-5 |\n\ndone in 3 h",
        "Epoch  Train Loss  Val Loss  PPO Loss\n-----  ----------  --------  --------\n"
        "    1        -0.5       5.1   -0.0004\n    2        0.25       5.2      3e-5\n",
        "Epoch Train Loss\n1 -0.5\n2 0.25\n\nEpoch Val Loss PPO Loss\n2 5.2 3e-5\n1 5.1 -0.0004",
    ],
)
def test_every_form_of_the_table_is_read(tmp_path: Path, text: str) -> None:
    rows = evidence_of_log(log(tmp_path, text)).epochs
    figures = [(row["epoch"], row["train_loss"], row["val_loss"], row["ppo_loss"]) for row in rows]
    assert figures == [(1, -0.5, 5.1, -0.0004), (2, 0.25, 5.2, 3e-5)]


def test_a_figure_that_is_no_number_in_the_log_is_told_of_and_not_counted(tmp_path: Path) -> None:
    path = log(tmp_path, "Epoch Val Loss KL\n1 5.1 0.1\n2 nan inf\n3 NaN 0.2\n")
    values = told(path)["figures_not_finite"].values
    assert (values["count"], values["epoch"]) == (3, 2)
    assert evidence_of_log(path).curve("kl").values == (0.1, 0.2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Epoch Val Loss\n1 5.1\n2 oops", "row 3, field val loss: is not a number: 'oops'"),
        ("Epoch Val Loss\n1 5.1\n2 5.2 7", "row 3: has 3 cells, and the heading above it 2"),
        ("| Epoch | KL |\n|--|--|\n| 1.5 | 0.1 |", "row 3, field epoch: is not a whole number"),
        ("Epoch Val Loss\n- 5.1", "row 2, field epoch: is not a whole number"),
        ("nothing to see", "holds no table of epochs"),
        ("", "holds no table of epochs"),
    ],
)
def test_a_damaged_log_is_refused_with_file_and_row(tmp_path: Path, text: str, said: str) -> None:
    path = log(tmp_path, text)
    with pytest.raises(InputError) as error:
        evidence_of_log(path)
    assert str(error.value).startswith(str(path)) and said in str(error.value)


def test_what_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    for name, said in (("binary", "is not UTF-8"), ("absent", "no such run or log")):
        with pytest.raises(InputError, match=said):
            evidence_of(tmp_path / name)
