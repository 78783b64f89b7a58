"""Record a run of a command: ``python tests/golden/progress/record.py latency.json resbench latency resnet20 ...``.

The file holds the command, the moments that its progress told (seconds since the first, part, share), at most 400 of
them, and the second at which the command ended.
"""

import json
import sys
import time
from pathlib import Path

MOST = 400


def main(target, command):
    from resbench.cli.main import main as resbench
    from resbench.cli.progress import Line

    moments, note = [], Line._note

    def noted(line, now, words, share):
        moments.append((time.time(), getattr(words, "part", ""), share))
        note(line, now, words, share)

    Line._note = noted
    sys.argv = command
    try:
        resbench()
    finally:
        begun = moments[0][0]
        kept = [moments[i * len(moments) // MOST] for i in range(MOST)] if len(moments) > MOST else moments
        rows = [[round(at - begun, 3), part, round(share, 6)] for at, part, share in kept]
        lines = ",\n  ".join(map(json.dumps, rows))
        words, ended = json.dumps(" ".join(command)), round(time.time() - begun, 3)
        target.write_text(f'{{"command": {words},\n "ended": {ended},\n "moments": [\n  {lines}]}}\n')


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
