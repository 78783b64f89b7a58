"""The fingerprint of the machine: what is in it, what is not, and what happens where a source is missing."""

import hashlib
import json
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resbench.codec import encoded
from resbench.workers.environment import Environment, available_bytes, cpu_quota, environment

GIB = 2**30


def write(root, texts):
    """The files of a kernel, below a folder that stands for its root."""
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_two_calls_have_the_same_stable_fields_and_id():
    first, second = environment(), environment()
    assert first.stable == second.stable
    assert first.id == second.id
    assert len(first.id) == 12
    assert set(first.id) <= set("0123456789abcdef")


def test_the_id_depends_on_the_stable_fields_only():
    here = environment()
    assert replace(here, volatile={}).id == here.id
    assert Environment(dict(reversed(here.stable.items())), {}).id == here.id
    for name in here.stable:
        assert replace(here, stable={**here.stable, name: "another"}).id != here.id


def test_the_machine_is_one_whatever_threads_were_chosen_and_a_time_depends_on_them(monkeypatch):
    threads = torch.get_num_threads()
    before = environment()
    try:
        torch.set_num_threads(threads + 1)
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 1))
        after = environment()
    finally:
        torch.set_num_threads(threads)
    assert before.id == after.id == before.on(threads + 5).id
    assert before.timed.id != after.timed.id
    assert (after.volatile["threads"], before.on(threads + 5).volatile["threads"]) == (threads + 1, threads + 5)
    assert f"{threads + 5} threads" in before.on(threads + 5).line


def test_an_environment_of_an_earlier_version_keeps_its_id():
    """By the formula of that version: the threads were among the fields of the machine."""
    here = environment()
    stable = {
        **here.stable,
        **{name: here.volatile[name] for name in ("threads", "OMP_NUM_THREADS", "MKL_NUM_THREADS")},
    }
    text = json.dumps(stable, sort_keys=True, separators=(",", ":"))
    earlier = Environment(stable, {})
    assert earlier.id == hashlib.sha256(text.encode()).hexdigest()[:12] == here.timed.id
    assert earlier.on(7).id != earlier.id == earlier.timed.id


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("KMP_AFFINITY", "compact", "KMP_AFFINITY"),
        ("LD_PRELOAD", "/usr/lib/libjemalloc.so.2", "allocator"),
    ],
)
def test_variables_that_change_the_speed_change_the_id(monkeypatch, name, value, field):
    with monkeypatch.context() as patch:
        patch.delenv(name, raising=False)
        without = environment()
    monkeypatch.setenv(name, value)
    given = environment()
    assert given.id != without.id
    assert given.stable[field] == {"allocator": "jemalloc"}.get(field, value)


def test_the_machine_is_not_named():
    text = json.dumps(encoded(environment()))
    assert socket.gethostname() not in text.split('"')
    assert str(Path.home()) not in text


def test_the_document_is_json_with_the_id():
    here = environment()
    document = json.loads(json.dumps(encoded(here), allow_nan=False))
    assert document == {"id": here.id, "stable": here.stable, "volatile": here.volatile}
    assert document["stable"]["torch"] == torch.__version__


def test_the_line_names_processor_cores_threads_and_torch():
    stable = {**environment().stable, "cpu": "AMD EPYC", "usable_cores": 2, "logical_cores": 4, "cpu_quota": None}
    stable |= {"threads": 1, "torch": "2.13.0+cpu", "system": "Linux"}
    assert Environment(stable, {}).line == "AMD EPYC, 2 of 4 cores, 1 thread, torch 2.13.0+cpu, Linux"
    limited = {**stable, "cpu_quota": 1.5, "gpu": "NVIDIA H200", "gpu_driver": "580.65.06", "gpu_power_limit_w": 700.0}
    assert Environment(limited, {}).line == (
        "NVIDIA H200, driver 580.65.06, 700 W, AMD EPYC, 2 of 4 cores, a quota of 1.5 cores, 1 thread, "
        "torch 2.13.0+cpu, Linux"
    )


def test_a_line_is_said_of_a_machine_that_says_nothing():
    stable = dict.fromkeys(environment().stable)
    assert Environment({**stable, "threads": 2, "torch": "2.13.0"}, {}).line == "unknown CPU, 2 threads, torch 2.13.0"


def test_a_gpu_is_described_only_when_it_is_measured():
    assert not any(name.startswith("gpu") for name in environment("cpu").stable)
    assert ("gpu" in environment("cuda").stable) == torch.cuda.is_available()


def test_outside_a_repository_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    volatile = environment().volatile
    assert (volatile["commit"], volatile["dirty"]) == (None, None)


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    volatile = environment().volatile
    assert (volatile["commit"], volatile["dirty"]) == (None, None)


def test_the_commit_is_that_of_the_working_directory_and_says_when_files_were_changed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    file = tmp_path / "net.py"
    file.write_text("one")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    try:
        for words in (["init", "-q"], ["add", "net.py"], [*identity, "commit", "-qm", "one"]):
            subprocess.run(["git", *words], check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    clean = environment().volatile
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "result.json").write_text("{}")
    assert environment().volatile["dirty"] is False
    file.write_text("two")
    assert environment().volatile["dirty"] is True
    assert environment().volatile["commit"] == clean["commit"]


def test_available_memory_is_less_than_that_of_the_machine():
    available = available_bytes()
    if available is None:
        pytest.skip("this system does not say")
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < available <= total


V2 = {
    "proc/meminfo": f"MemTotal: 9999 kB\nMemAvailable: {4 * GIB // 1024} kB\n",
    "proc/self/cgroup": "0::/slice/job\n",
}
V1 = {
    "proc/meminfo": V2["proc/meminfo"],
    "proc/self/cgroup": "4:memory:/docker/1f\n2:cpu,cpuacct:/docker/1f\n1:name=systemd:/\n0::/\n",
}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": V2["proc/meminfo"]}, 4 * GIB),
        ({**V2, "sys/fs/cgroup/slice/job/memory.max": "max\n"}, 4 * GIB),
        (
            {
                **V2,
                "sys/fs/cgroup/slice/job/memory.max": f"{3 * GIB}\n",
                "sys/fs/cgroup/slice/job/memory.current": f"{2 * GIB}\n",
                "sys/fs/cgroup/slice/job/memory.stat": f"anon 7\ninactive_file {GIB}\n",
            },
            2 * GIB,
        ),
        # a limit further up holds too
        (
            {**V2, "sys/fs/cgroup/slice/memory.max": f"{GIB}", "sys/fs/cgroup/slice/memory.current": "4096"},
            GIB - 4096,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",  # a container sees only the top
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 1024\n",
            },
            GIB + 1024,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/docker/1f/memory.usage_in_bytes": "1\n",
            },
            4 * GIB,
        ),
        (
            {**V2, "sys/fs/cgroup/slice/memory.max": "1000", "sys/fs/cgroup/slice/memory.current": "2000"},
            0,
        ),
    ],
)
def test_available_memory_is_the_least_that_kernel_and_control_groups_leave(tmp_path, texts, expected):
    assert available_bytes(write(tmp_path, texts)) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, None),
        ({**V2, "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n"}, None),
        ({**V2, "sys/fs/cgroup/slice/job/cpu.max": "150000 100000\n"}, 1.5),
        (
            {**V2, "sys/fs/cgroup/slice/job/cpu.max": "150000 100000", "sys/fs/cgroup/slice/cpu.max": "50000 100000"},
            0.5,
        ),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, None),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/docker/1f/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        ({"proc/self/cgroup": "nonsense\n\n", "sys/fs/cgroup/cpu.max": "nonsense"}, None),
    ],
)
def test_the_quota_of_cores_is_the_lowest_of_the_control_groups(tmp_path, texts, expected):
    assert cpu_quota(write(tmp_path, texts)) == expected
