import pytest
import torch
from torch import nn

from shotsmith.vlms.qwen import onednn
from shotsmith.vlms.qwen.onednn import OneDnnLinear, use_onednn

pytestmark = pytest.mark.skipif(not onednn._works(), reason="this PyTorch has no oneDNN")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 16), (3, 5, 16), (2, 3, 500, 16)])
def test_it_computes_what_the_layer_computes(bias, shape):
    torch.manual_seed(0)
    layer = nn.Linear(16, 24, bias=bias)
    inputs = torch.randn(shape)
    torch.testing.assert_close(OneDnnLinear(layer)(inputs), layer(inputs).detach(), atol=1e-5, rtol=1e-5)


def test_every_linear_layer_of_a_model_is_replaced_and_nothing_else():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.GELU(), nn.Linear(8, 4)), nn.LayerNorm(4))
    inputs = torch.randn(3, 8)
    with torch.no_grad():
        expected = model(inputs)
        assert use_onednn(model) == 2
        assert not any(isinstance(module, nn.Linear) for module in model.modules())
        torch.testing.assert_close(model(inputs), expected, atol=1e-5, rtol=1e-5)


def test_other_arithmetic_is_left_alone():
    model = nn.Sequential(nn.Linear(8, 8).bfloat16())
    assert use_onednn(model) == 0
    assert isinstance(model[0], nn.Linear)


def test_results_are_the_same_every_time_to_the_last_bit():
    torch.manual_seed(0)
    layer = OneDnnLinear(nn.Linear(64, 48))
    inputs = torch.randn(40, 64)
    assert torch.equal(layer(inputs), layer(inputs.clone()))


def test_a_pytorch_that_is_called_in_another_way_keeps_its_layers(monkeypatch):
    class Changed(OneDnnLinear):
        def forward(self, inputs):
            raise TypeError("unexpected argument")

    monkeypatch.setattr(onednn, "OneDnnLinear", Changed)
    model = nn.Sequential(nn.Linear(8, 8))
    assert use_onednn(model) == 0
    assert isinstance(model[0], nn.Linear)
