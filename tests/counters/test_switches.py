"""What one run changes for the whole process, and the next should not see."""

import pytest
import torch
from commands import forked

from resbench.workers.switches import SWITCHES, settings_kept


def test_every_switch_is_as_it_was():
    before = {name: on() for name, on in SWITCHES.items()}
    with settings_kept():
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


PRECISIONS = """
import torch
from torch import backends as b
from resbench.workers.switches import settings_kept

places = b, b.cudnn, b.mkldnn.matmul, b.mkldnn.conv, b.mkldnn.rnn, b.cuda.matmul, b.cudnn.conv, b.cudnn.rnn
def read():
    return [place.fp32_precision for place in places]
{chosen}
before = read()
for within in ("pass", "torch.set_float32_matmul_precision('high')", "b.fp32_precision = 'tf32'"):
    with settings_kept():
        exec(within)
    assert read() == before, (within, before, read())
b.fp32_precision = "tf32"
print(b.mkldnn.matmul.fp32_precision, b.cuda.matmul.fp32_precision)
"""


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "matmul"), reason="torch 2.9 brought a setting a library")
@pytest.mark.parametrize(
    ("chosen", "then"),
    [
        ("pass", "tf32 tf32"),  # what follows the setting of all goes on following it
        ("b.cuda.matmul.fp32_precision = 'ieee'", "tf32 ieee"),  # torch's first setting cannot be read any more
        ("b.mkldnn.matmul.fp32_precision = 'bf16'", "bf16 tf32"),
        ("b.cuda.matmul.allow_tf32 = True", "tf32 tf32"),
        ("torch.set_float32_matmul_precision('medium')", "bf16 tf32"),
    ],
)
def test_the_precision_of_float32_is_kept_whichever_setting_chose_it(chosen, then):
    """Each in a process of its own: some of it cannot be taken back."""
    program = PRECISIONS.format(chosen=chosen)
    done = forked(program)
    assert (done.returncode, done.stdout.strip()) == (0, then), done.stderr
