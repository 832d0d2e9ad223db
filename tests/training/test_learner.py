from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import CheckpointError, InputError, TrainingError
from shotsmith.recipe import OptimizerSettings
from shotsmith.training.learner import MAX_GRAD_NORM, SCHEDULES, WEIGHT_DECAY, Learner, learning_rate_factor
from shotsmith.training.state import load_state, save_state, state_values


def learner_of(total_updates=1000, **changes):
    module = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.ones_(module.weight)
    return module, Learner(
        module, OptimizerSettings(**({"warmup_steps": 0, "schedule": "constant"} | changes)), total_updates
    )


def test_updates_run_at_the_rate_of_the_schedule():
    settings = {"learning_rate": 0.4, "warmup_steps": 2, "schedule": "linear", "final_learning_rate_share": 0.5}
    module, learner = learner_of(total_updates=6, **settings)
    rates, moves = [], []
    for _ in range(7):
        before = module.weight.detach().clone()
        rates.append(learner.update(module.weight.sum())["learning_rate"])
        moves.append(float((before - module.weight.detach())[0, 0]) - 0.01 * rates[-1] * float(before[0, 0]))
    assert rates == pytest.approx([0.2, 0.4, 0.35, 0.3, 0.25, 0.2, 0.2])
    # A constant gradient moves Adam's weights by the learning rate; what decays is taken off above.
    assert moves == pytest.approx(rates, rel=1e-4)


def test_an_update_is_one_step_of_adamw():
    module, learner = learner_of(learning_rate=0.1)
    twin = torch.nn.Parameter(module.weight.detach().clone())
    optimizer = torch.optim.AdamW([twin], lr=0.1, weight_decay=WEIGHT_DECAY, foreach=False, fused=False)
    data = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    for row in data:
        learner.update(module(row).square().sum())
        optimizer.zero_grad()
        (twin @ row).square().sum().backward()
        torch.nn.utils.clip_grad_norm_([twin], MAX_GRAD_NORM)
        optimizer.step()
    torch.testing.assert_close(module.weight.detach(), twin.detach())


def test_gradients_are_clipped_and_the_norm_before_is_told():
    module, learner = learner_of()
    assert learner.update((100 * module.weight).sum())["grad_norm"] == pytest.approx(100 * math.sqrt(3))
    assert float(module.weight.grad.norm()) == pytest.approx(MAX_GRAD_NORM, rel=1e-4)


def test_parameters_that_come_by_the_same_gradient_are_each_clipped_once():
    module = torch.nn.ParameterList([torch.ones(2), torch.ones(2)])
    Learner(module, OptimizerSettings(), 10).update(100 * (module[0] + module[1]).sum())
    assert [float(parameter.grad.norm()) for parameter in module] == pytest.approx(
        [MAX_GRAD_NORM / math.sqrt(2)] * 2, rel=1e-4
    )


def test_gradients_of_earlier_updates_are_forgotten():
    module, learner = learner_of()
    norms = [learner.update(module.weight.sum())["grad_norm"] for _ in range(3)]
    assert norms == pytest.approx([math.sqrt(3)] * 3)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_leaves_weights_and_schedule_alone(factor):
    module, learner = learner_of(warmup_steps=5)
    learner.update(module.weight.sum())
    before, rate = module.weight.detach().clone(), learner.learning_rate
    assert learner.update((module.weight * factor).sum()) is None
    assert torch.equal(module.weight, before)
    assert (learner.steps, learner.skipped, learner.learning_rate) == (1, 1, rate)


def test_a_gradient_that_is_not_finite_is_skipped_too():
    module, learner = learner_of()
    with torch.no_grad():
        module.weight.zero_()
    assert learner.update(module.weight.sum().abs().sqrt()) is None
    assert module.weight.isfinite().all()


def test_only_twenty_in_a_row_end_the_training():
    module, learner = learner_of()
    for _ in range(3):
        for _ in range(19):
            learner.update(module.weight.sum() * math.nan)
        learner.update(module.weight.sum())
    with pytest.raises(TrainingError, match="20 updates in a row"):
        for _ in range(20):
            learner.update(module.weight.sum() * math.nan)


def two_layers():
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"proj": torch.nn.Linear(3, 3), "projection": torch.nn.Linear(3, 1)})


def step(module, learner):
    learner.update(module["projection"](module["proj"](torch.ones(3))).sum())


def test_frozen_parts_stay_as_they_are_and_the_others_learn():
    """A name stands for a module or a parameter, not for whatever begins like it."""
    module = two_layers()
    learner = Learner(module, OptimizerSettings(), 10, frozen=["proj", "projection.bias"])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    step(module, learner)
    moved = {name for name, value in module.state_dict().items() if not torch.equal(before[name], value)}
    assert moved == {"projection.weight"}


def test_freezing_marks_nothing_and_asks_no_gradient():
    module = two_layers()
    step(module, Learner(module, OptimizerSettings(), 10, frozen=["proj"]))
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert [name for name, parameter in module.named_parameters() if parameter.grad is not None] == [
        "projection.weight",
        "projection.bias",
    ]


def test_names_a_policy_lacks_are_passed_over_while_one_is_there():
    module = two_layers()
    assert len(Learner(module, OptimizerSettings(), 10, frozen=["absent", "proj"]).parameters) == 2


@pytest.mark.parametrize(
    ("frozen", "problem"), [(["absent", "pro"], "nothing to freeze"), (["proj", "projection"], "nothing to train")]
)
def test_freezing_nothing_or_everything_is_an_error(frozen, problem):
    with pytest.raises(InputError, match=problem):
        Learner(two_layers(), OptimizerSettings(), 10, frozen=frozen)


def test_a_parameter_the_loss_does_not_reach_stays_as_it_is():
    module = two_layers()
    learner = Learner(module, OptimizerSettings(), 10)
    before = module["proj"].weight.detach().clone()
    learner.update(module["projection"](torch.ones(3)).sum())
    assert torch.equal(module["proj"].weight, before)


def test_a_learner_taken_up_again_goes_on_bit_for_bit(tmp_path):
    file, settings = tmp_path / "state.safetensors", OptimizerSettings(schedule="cosine")
    module = two_layers()
    learner = Learner(module, settings, 8, frozen=["proj.bias"])
    for _ in range(3):
        step(module, learner)
    save_state(file, module, learner.optimizer, {})
    resumed = torch.nn.ModuleDict({"proj": torch.nn.Linear(3, 3), "projection": torch.nn.Linear(3, 1)})
    again = Learner(resumed, settings, 8, frozen=["proj.bias"])
    load_state(file, resumed, again.optimizer)
    again.steps = learner.steps
    for _ in range(3):
        step(module, learner)
        step(resumed, again)
    for one, other in zip(module.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_every_update_tells_that_the_weights_have_changed():
    """Without it, keys that are computed once for given weights would be used for ever."""
    module, learner = learner_of()
    versions = [module.weight._version]
    for _ in range(3):
        learner.update(module.weight.sum())
        versions.append(module.weight._version)
    assert len(set(versions)) == 4


def test_a_state_in_which_a_bit_has_flipped_is_not_gone_on_with(tmp_path):
    file = tmp_path / "state"
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    save_state(file, module, optimizer, {"epoch": 3}, {"kept": torch.ones(2, dtype=torch.bfloat16)})
    load_state(file, module, optimizer)
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    for read in (lambda: load_state(file, module, optimizer), lambda: state_values(file)):
        with pytest.raises(CheckpointError, match="damaged"):
            read()


def test_several_threads_give_the_same_bits_every_time():
    """Of an indexed tensor, several threads add gradients in the order in which they come."""
    threads = torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 50, (40_000,), generator=generator)
    factors = torch.randn(40_000, 3, generator=generator)

    def trained():
        module, learner = learner_of()
        keys = torch.ones(50, 1) * module.weight
        learner.update((keys[rows] * factors).sum())
        return module.weight.grad.clone()

    torch.set_num_threads(4)
    try:
        gradients = [trained() for _ in range(10)]
    finally:
        torch.set_num_threads(threads)
    assert all(gradient.equal(gradients[0]) for gradient in gradients)


def factors(total, beyond=0, **settings):
    plain = {"warmup_steps": 0, "schedule": "constant", "final_learning_rate_share": 0.0}
    settings = OptimizerSettings(**(plain | settings))
    return [learning_rate_factor(update, total, settings) for update in range(total + beyond)]


def test_the_rate_rises_linearly_and_a_constant_one_then_stays():
    assert factors(6, warmup_steps=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_a_linear_schedule_falls_in_equal_steps():
    assert factors(5, schedule="linear") == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert factors(5, schedule="linear", warmup_steps=2, final_learning_rate_share=0.4) == pytest.approx(
        [0.5, 1.0, 0.8, 0.6, 0.4]
    )


def test_a_cosine_schedule_follows_half_a_wave():
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * i / 8)) / 2 for i in range(9)]
    assert factors(9, schedule="cosine", final_learning_rate_share=0.1) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(
    total=st.integers(1, 60),
    warmup=st.integers(0, 80),
    final=st.sampled_from([0.0, 0.1, 1.0]),
    beyond=st.integers(0, 5),
)
def test_the_rate_rises_to_its_peak_falls_to_its_end_and_stays_there(schedule, total, warmup, final, beyond):
    found = factors(total, beyond, schedule=schedule, warmup_steps=warmup, final_learning_rate_share=final)
    peak = max(warmup, 1) - 1
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert all(0 <= factor <= 1 for factor in found)
    if total > peak:
        assert found[peak] == 1.0
    if total - 1 > peak:
        assert found[total - 1 :] == pytest.approx([1.0 if schedule == "constant" else final] * (beyond + 1))


def test_every_schedule_of_the_settings_exists():
    assert {*SCHEDULES} == {*OptimizerSettings.model_fields["schedule"].annotation.__args__}
