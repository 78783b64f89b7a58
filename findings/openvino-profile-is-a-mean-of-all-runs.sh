#!/usr/bin/env bash
# openvino 2026.4.1: InferRequest.profiling_info with PERF_COUNT, on the CPU.
#
# Expected: the times of the layers in the inference that the request has just done.
# Seen:     each is the mean over all inferences of the compiled model so far, the first and slowest included, also for a
#           request that is new: after twenty runs on small images, one on an image of 64 times the size is said to have
#           taken a few percent of what it took. A single run's times are nowhere, and medians of them cannot be had.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 openvino==2026.4.1
"$folder/venv/bin/python" - << 'PYTHON'
import time

import numpy as np
import openvino as ov
from openvino import opset13 as ops

image = ops.parameter([1, 16, -1, -1], np.float32)
weights = ops.constant(np.ones((16, 16, 3, 3), np.float32))
layer = ops.convolution(image, weights, [1, 1], [1, 1], [1, 1], [1, 1])
model = ov.Model([layer], [image], "net")
compiled = ov.Core().compile_model(model, "CPU", {"PERF_COUNT": True, "INFERENCE_NUM_THREADS": 1})


def profile(request, side):
    pixels = np.ones((1, 16, side, side), np.float32)
    start = time.perf_counter()
    request.infer([pixels])
    took = time.perf_counter() - start
    return sum(one.real_time.total_seconds() for one in request.profiling_info), took


request = compiled.create_infer_request()
small = [profile(request, 64) for _ in range(20)][-1]
same, same_took = profile(request, 512)
new, new_took = profile(compiled.create_infer_request(), 512)
print(f"small image: the profile says {small[0] * 1e3:.3f} ms of {small[1] * 1e3:.3f}")
print(f"large image, 21st run: the profile says {same * 1e3:.3f} ms of {same_took * 1e3:.3f}")
print(f"large image, 22nd run, new request: the profile says {new * 1e3:.3f} ms of {new_took * 1e3:.3f}")
assert same < 0.3 * same_took and new < 0.4 * new_took
PYTHON
