"""Damaged files of every kind that resbench reads: each is read, or refused by its name, soon and in little memory.

    python suites/storm_files.py --dir /var/tmp/storm --minutes 8       # a part; the same command goes on where it was
    python suites/storm_files.py --dir /var/tmp/storm --table > results/storm/files.txt

A file of the small folder (``storm_world.py``) is damaged by a seed, and the command that reads it is called in a
process that has imported everything: what is timed, and what may be allocated, is for the reading alone. The damaged
files are not kept.
"""

import gzip
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from storm_host import Host, parser, ready, state
from storm_lines import Line

SECONDS = 5.0
MORE_BYTES = 500 << 20
"""So much more may be held. V8, which draws charts, reserves three times what it uses: the limit is of reservations."""
HUGE_BYTES = 2 << 30


class Read(NamedTuple):
    """A file, and the words by which it is read."""

    file: str
    words: str


READ = (
    *(Read(f"stored/{name}", f"compare --from stored/{name}") for name in ("flops.json", "trained.json", "plane.json")),
    *(Read(f"stored/{name}", f"report --from stored/{name}") for name in ("latency.json", "gradflow.json.gz")),
    Read("stored/degradation.json.gz", "compare --from stored/degradation.json.gz --metrics error"),
    Read("a.json", "compare-runs a.json b.json"),
    Read("a.json", "history a.json --dir past"),
    Read("past/*.jsonl", "history --dir past"),
    Read("net.onnx", "flops onnx:net.onnx"),
    Read("net.onnx", "show onnx:net.onnx"),
    Read("net.pt2", "flops pt2:net.pt2"),
    Read("resnet8.pt", "gradflow resnet8,weights=resnet8.pt --steps 0 --seeds 1 --batch 4"),
    Read("resnet8.safetensors", "gradflow resnet8,weights=resnet8.safetensors --steps 0 --seeds 1 --batch 4"),
    Read("swept/part-*.parquet", "sweep residual -n 8 --dir swept"),
    Read("swept/part-*.parquet", "sweep residual --report --dir swept --target macs"),
    Read("searched/part-*.parquet", "search space.toml --minimize macs,params --budget 6 --dir searched"),
    Read(".searched.search", "search space.toml --minimize macs,params --budget 6 --dir searched"),
    Read("trained/*.pt", "degradation resnet8 --epochs 0.2 --batch 64 --dir trained"),
    Read("trained/planes/*.points", "landscape resnet8 --epochs 0.2 --batch 64 --dir trained --points 3 --images 16"),
    Read("space.toml", "sweep space.toml -n 4 --dry-run"),
    Read("suite.toml", "gate --suite suite.toml --counters"),
)


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))] if data else data


def flipped(data: bytes, draw: random.Random) -> bytes:
    some = bytearray(data)
    for _ in range(draw.choice((1, 3, 30))):
        some[draw.randrange(len(some))] ^= 1 << draw.randrange(8)
    return bytes(some)


def zeros(data: bytes, draw: random.Random) -> bytes:
    at, size = draw.randrange(len(data)), draw.choice((16, 512, 4096))
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def noise(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + draw.randbytes(draw.choice((1, 64, 4096))) + data[at:]


def shuffled(data: bytes, draw: random.Random) -> bytes:
    middle = draw.randrange(len(data))
    return data[middle:] + data[:middle]


def doubled(data: bytes, draw: random.Random) -> bytes:
    return data + data


def empty(data: bytes, draw: random.Random) -> bytes:
    return b""


def numbers(data: bytes, draw: random.Random) -> bytes:
    """Replace some numbers of a text, and of a binary file sizes of eight bytes."""
    words = (b"1e400", b"-1", b"99999999999999999999", b"NaN", b"null", b'"x"', b"[]", b"0", b"1e308", b"true")
    text, packed = _opened(data)
    found = [*re.finditer(rb"(?<![\w.\"])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.\"])", text)]
    if b"\0" in text or not found:
        at = draw.randrange(max(1, len(data) - 8))
        return data[:at] + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + data[at + 8 :]
    for match in sorted(draw.sample(found, min(3, len(found))), key=lambda match: -match.start()):
        text = text[: match.start()] + draw.choice(words) + text[match.end() :]
    return gzip.compress(text) if packed else text


def schema(data: bytes, draw: random.Random) -> bytes:
    """Say another schema, kind or type of a value."""
    text, packed = _opened(data)
    wrong: tuple[Any, ...] = (999, -1, None, "x", [], {}, "latency", 1.5, True, [[[]]], {"a": 1})
    try:
        document = json.loads(text)
    except ValueError:
        return zeros(data, draw)
    key = draw.choice(("schema", "kind", *document)) if isinstance(document, dict) else 0
    node: Any = document
    while isinstance(node.get(key) if isinstance(node, dict) else None, dict) and node[key] and draw.random() < 0.7:
        node = node[key]
        key = draw.choice([*node])
    if isinstance(node, dict):
        if draw.random() < 0.3:
            node.pop(key, None)
        else:
            node[key] = draw.choice(wrong)
    text = json.dumps(document).encode()
    return gzip.compress(text) if packed else text


def deep(data: bytes, draw: random.Random) -> bytes:
    depth = draw.choice((900, 20_000, 1_000_000))
    text, packed = _opened(data)
    at = text.find(b":") + 1
    text = text[:at] + b"[" * depth + b"]" * depth + b"," + text[at:]
    return gzip.compress(text) if packed else text


def huge(data: bytes, draw: random.Random) -> bytes:
    """Unpack to gigabytes."""
    import zlib

    pack = zlib.compressobj(1, zlib.DEFLATED, 31)
    chunk = b" " * (1 << 24)
    return b"".join([*(pack.compress(chunk) for _ in range(HUGE_BYTES >> 24)), pack.flush()])


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(cut, cut, flipped, flipped, zeros, noise, shuffled, doubled, empty, numbers, numbers, schema, schema, deep, huge),
)


def _opened(data: bytes) -> tuple[bytes, bool]:
    return (gzip.decompress(data), True) if data.startswith(b"\x1f\x8b") else (data, False)


def storm(folder: Path, world: Path, count: int, seed: int, minutes: float) -> None:
    """Damage files, and have them read, until the time is up."""
    facts = re.findall(r"(\w+):\s+(\d+) kB", Path("/proc/self/status").read_text())
    own = {name: 1024 * int(kib) for name, kib in facts}
    host = Host(folder / "host-files", world, own["VmData"] + 3 * MORE_BYTES)
    path, until = folder / "files.jsonl", time.monotonic() + 60 * minutes
    there = {json.loads(row)["number"] for row in path.open()} if path.exists() else set()
    with path.open("a") as rows:
        for number in range(count):
            if number in there or time.monotonic() > until:
                continue
            draw = random.Random(f"{seed}.{number}")
            read, way = READ[number % len(READ)], draw.choice(WAYS)

            def change(box: Path, read: Read = read, way: Any = way, draw: random.Random = draw) -> None:
                file = min(box.glob(read.file))
                file.write_bytes(way(file.read_bytes(), draw))

            ended = host.run(Line(tuple(read.words.split()), "file", None, None), False, change)
            complaints = [one for one in ended.complaints if not one.startswith(("left ", "changed "))]
            named = Path(read.file).name.split("*")[0].removesuffix(".gz")
            told = named in ended.said or "not everything could be compared" in ended.said  # the table says what
            if ended.status == 2 and not told and read.file.split("/")[0] not in ended.said:
                complaints.append("refused without its name")
            if ended.held_bytes > own["RssAnon"] + MORE_BYTES:
                complaints.append(f"held {ended.held_bytes >> 20:,} MiB")
            if ended.seconds > SECONDS:
                complaints.append(f"took {ended.seconds:.1f} s")
            row = {"number": number, "file": read.file, "words": read.words, "way": way.__name__}
            row |= {"status": ended.status, "seconds": round(ended.seconds, 2), "complaints": complaints}
            row["more_mib"] = max(0, ended.held_bytes - own["RssAnon"]) >> 20
            rows.write(json.dumps(row | {"said": ended.said[-400:]}) + "\n")
            rows.flush()


def table(folder: Path) -> None:
    """Print a line for each kind of file, and each that was read wrongly."""
    rows = [json.loads(row) for row in (folder / "files.jsonl").open()]
    print(f"resbench/ {folder.name}, {len(rows):,} damaged files")
    columns = ("files", "read", "refused", "else", "wrong", "most s", "MiB more")
    print(f"{'file':28}" + "".join(f"{column:>10}" for column in columns))
    for file in [*dict.fromkeys(row["file"] for row in rows), "all"]:
        some = [row for row in rows if file in (row["file"], "all")]
        statuses = Counter(row["status"] for row in some)
        read, refused = statuses.pop(0, 0) + statuses.pop(1, 0), statuses.pop(2, 0)
        numbers = (len(some), read, refused, sum(statuses.values()), sum(bool(row["complaints"]) for row in some))
        most_s, most_mib = (max(row[name] for row in some) for name in ("seconds", "more_mib"))
        print(f"{file:28}" + "".join(f"{n:10,}" for n in numbers) + f"{most_s:10.2f}{most_mib:10,}")
    for row in rows:
        if row["complaints"]:
            print(f"\n{row['number']}: {row['way']} of {row['file']}; resbench {row['words']}")
            print(f"    {'; '.join(row['complaints'])[:200]}\n    {' | '.join(row['said'].splitlines()[-2:])[:300]}")


def main() -> None:
    """Run a part, or print the table."""
    options = parser(__doc__, "files", 500).parse_args()
    folder = options.dir / state()
    if not options.table:
        storm(folder, ready(folder), options.files, options.seed, options.minutes)
    table(folder)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
