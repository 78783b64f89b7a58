"""The name of the NVIDIA GPU here, as a folder's: h200, h100-80gb-hbm3; nothing where torch sees none."""

import torch


def gpu_name():
    if not torch.cuda.is_available():
        return ""
    return torch.cuda.get_device_name(0).lower().removeprefix("nvidia ").replace(" ", "-")


if __name__ == "__main__":
    print(gpu_name())
