"""The name of the NVIDIA GPU here, as a folder's: h200, h100-80gb-hbm3; nothing where torch sees none."""

import torch

if torch.cuda.is_available():
    print(torch.cuda.get_device_name(0).lower().removeprefix("nvidia ").replace(" ", "-"))
