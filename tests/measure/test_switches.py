"""What one run changes for the whole process, and the next should not see."""

import torch

from resbench.measure.switches import SWITCHES, kept


def test_every_switch_is_as_it_was():
    before = {name: on() for name, on in SWITCHES.items()}
    with kept():
        torch.use_deterministic_algorithms(True)
        torch.autograd.set_detect_anomaly(True)
        torch.backends.mkldnn.enabled = False
        torch.backends.cudnn.enabled = False
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        assert {name: on() for name, on in SWITCHES.items()} != before
    assert {name: on() for name, on in SWITCHES.items()} == before
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
