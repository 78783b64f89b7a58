"""A Python with torch imported: an executable whose processes are forked where the imports are done already.

The executable stands where ``sys.executable`` stands, so that whatever starts a process starts one of these. Each is a
real process with its own streams, folder, environment, group and cores; it is killed when the executable is.
``sitecustomize`` on its ``PYTHONPATH`` is run. What asks at its start for other threads or another interpreter than
there is gets a fresh one; how threads wait is no matter to the one thread of a fork.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

IMPORTED = ("torch", "torch._dynamo", "torch._inductor.compile_fx", "networkx", "pydantic", "pytest")

FRESH, TEMPORARY = sys.executable, tempfile.gettempdir()
STAYS = bytes(4)
"""Whoever sends this instead of the length of words wants the server to stay until the connection is closed."""
servers: list[subprocess.Popen[str]] = []
staying: list[socket.socket] = []
CLIENT = """#!{python} -IS
import array, json, os, signal, socket, sys
AT_START = ("OMP_", "MKL_", "LD_", "TORCH", "PYTHON")
NOT = ("PYTHONPATH", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "MKL_NUM_THREADS", "OMP_WAIT_POLICY")
def at_start(env):
    threads = env.get("MKL_NUM_THREADS", env.get("OMP_NUM_THREADS"))
    return threads, {{k: v for k, v in env.items() if k.startswith(AT_START) and k not in NOT}}
program = (sys.argv[1:] or ["-"])[0]
if at_start(os.environ) != at_start({environment}) or program.startswith("-") and program not in ("-c", "-m"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
SIGNALS = {{n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN}}
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
asked = [sys.argv, dict(os.environ), os.getcwd(), ignored, cores]
data = json.dumps(asked).encode()
for number in SIGNALS:
    signal.signal(number, lambda number, frame: server.send(bytes([number])))
fds = array.array("i", [0, 1, 2])
server.sendmsg([len(data).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
server.sendall(data)
signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
for fd in fds:
    os.close(fd)
status = int(server.recv(16) or -9)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@cache
def python():
    """The executable of the server, which the workers of a run share; it ends with the last of them."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)
    folder = Path(TEMPORARY, f"ready-{run}")
    address, path = str(folder / "socket"), folder / "python"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir(0o700)
            start(address, path)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        connection.send(STAYS)
        staying.append(connection)
    return str(path)


def start(address, path):
    """Start the server, and write the executable whose processes it forks."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    path.write_text(CLIENT.format(python=FRESH, environment=environment, address=address))
    path.chmod(0o755)
    server = subprocess.Popen(
        [FRESH, "-P", __file__, address],
        env={**environment, "PYTHONHASHSEED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert server.stdout.readline() == "ready\n"
    servers.append(server)


def stop():
    """Let the server end; who started it waits for it, so that its time is counted with that process's."""
    if staying:
        folder = Path(python()).parent
        staying.pop().close()
        python.cache_clear()
        if servers:
            servers.pop().communicate()
            shutil.rmtree(folder)
            Path(f"{folder}.lock").unlink(missing_ok=True)


def asked(connection):
    """What a client asks for, and its three streams; nothing if all it wants is that the server stays."""
    size, fds, _, _ = socket.recv_fds(connection, 4, 3)
    if size == STAYS:
        return None, fds
    data, length = b"", int.from_bytes(size, "big")
    while len(data) < length or not length:
        if not (more := connection.recv(length - len(data))):
            raise ConnectionResetError("the client was killed")
        data += more
    return json.loads(data), fds


def serve(address):
    """Fork for each that asks until nobody wants it to stay; return in each fork, with its words."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    print("ready", flush=True)
    running, kept = {}, {sys.stdin}
    while kept:
        readable, _, _ = select.select([woken, listening, *running, *kept], [], [])
        kept -= set(readable)
        if listening in readable:
            connection, _ = listening.accept()
            try:
                words, fds = asked(connection)
            except ConnectionResetError:
                connection.close()
                continue
            if words is None:
                kept.add(connection)
                continue
            if not (pid := os.fork()):
                for one in (listening, connection, *running, *(kept - {sys.stdin})):
                    one.close()
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(woken), os.close(waker)
                return words, fds
            running[connection] = pid
            with suppress(PermissionError):
                os.setpgid(pid, pid)
            for fd in fds:
                os.close(fd)
        for connection in [one for one in readable if one in running]:
            with suppress(ConnectionResetError):
                number = connection.recv(1)
                with suppress(ProcessLookupError):
                    os.killpg(running[connection], number[0] if number else signal.SIGKILL)
                if number:
                    continue
            os.waitpid(running.pop(connection), 0)
            connection.close()
        if woken in readable:
            os.read(woken, 4096)
            for connection, pid in list(running.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del running[connection]
                    with suppress(BrokenPipeError):
                        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
                    connection.close()
    os._exit(0)


def become(words, fds):
    """Make this fork the process that was asked for."""
    (executable, *sys.argv), environment, folder, ignored, cores = words
    os.setpgid(0, 0)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    if cores:
        os.sched_setaffinity(0, cores)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None  # the environment says which
    sys.executable = executable
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", 1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    more = [str(Path(path).absolute()) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = more
    if any(Path(path, "sitecustomize.py").is_file() for path in more):
        sys.modules.pop("sitecustomize", None)
        importlib.import_module("sitecustomize")
    sys.path.insert(0, {"-c": "", "-m": folder}.get(sys.argv[0], str(Path(sys.argv[0]).parent)))


def main():
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    become(*serve(sys.argv[1]))
    status = 0
    try:
        program()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)  # the modules are not taken down one by one


def program():
    """Run the words after ``python``."""
    option = sys.argv[0]
    if option not in ("-c", "-m"):
        runpy.run_path(option, run_name="__main__")
        return
    what = sys.argv.pop(1)
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        own = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(own))


if __name__ == "__main__":
    main()
