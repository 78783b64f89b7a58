"""Run every command that the gallery shows, keep what it wrote under results/gallery/, and write docs/gallery.md.

    make results                     all of it, some ten minutes on two cores
    python docs/gallery.py NAME ...  some entries again

The pictures of the report are taken with Chromium where there is one.
"""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "results/gallery"


MOST_ROWS = 60


class Entry(NamedTuple):
    """``command`` runs in the folder; its output is kept as NAME.txt, and ``pictures`` are what it draws."""

    name: str
    says: str
    command: str
    pictures: tuple[str, ...] = ()


ENTRIES = (
    Entry("doctor", "What is here, and what is missing for what.", "resbench doctor"),
    Entry("models", "The networks that need no code.", "resbench models"),
    Entry("stages", "What ResNet-50 costs, stage by stage.", "resbench flops resnet50 --per stage"),
    Entry("cost", "The same layer by layer.", "resbench flops resnet50 -o cost.json --plot cost.svg", ("cost.svg",)),
    Entry("blocks", "Its blocks.", "resbench show resnet50"),
    Entry("resnet50", "Its structure.", "resbench show resnet50 --svg resnet50.svg", ("resnet50.svg",)),
    Entry("resnet34", "A basic block each.", "resbench show resnet34 --svg resnet34.svg", ("resnet34.svg",)),
    Entry("plain34", "The same without shortcuts.", "resbench show plain34 --svg plain34.svg", ("plain34.svg",)),
    Entry("googlenet", "Parallel paths.", "resbench show googlenet --svg googlenet.svg", ("googlenet.svg",)),
    Entry(
        "inception_v3",
        "Paths that divide again.",
        "resbench show inception_v3 --svg inception_v3.svg",
        ("inception_v3.svg",),
    ),
    Entry(
        "preact_resnet1001",
        "A thousand layers, folded.",
        "resbench show preact_resnet1001 --svg preact_resnet1001.svg",
        ("preact_resnet1001.svg",),
    ),
    Entry(
        "networks",
        "Networks by what they cost.",
        "resbench compare plain34 resnet18 resnet34 resnet50 resnet101 vgg16 googlenet inception_v3 resnext50_32x4d "
        "wide_resnet50_2 --metrics params,macs,activations --sort macs --group-by family --plot networks.svg",
        ("networks.svg",),
    ),
    Entry(
        "lesson",
        "What a 1x1 convolution saves: MACs, time, and the time that the machine's roof allows.",
        "resbench compare conv5x5_direct conv5x5_reduced --metrics macs,latency,roof",
    ),
    Entry("latency", "How long two networks take here.", "resbench latency plain56 resnet56 -o latency.json"),
    Entry(
        "roofline",
        "ResNet-50's layers under the roof of this machine.",
        "resbench latency resnet50 --layers -o layers.json --plot roofline.svg",
        ("roofline.svg",),
    ),
    Entry("layers56", "And ResNet-56's.", "resbench latency resnet56 --layers -o layers-resnet56.json"),
    Entry("memory", "What a step of training takes.", "resbench latency resnet56 --memory --mode training --batch 128"),
    Entry(
        "profile",
        "Where the time of a step goes.",
        "resbench profile resnet56 --mode training --batch 32 --trace trace --view overview",
    ),
    Entry(
        "gradient",
        "Does the gradient get through?",
        "resbench gradflow plain56 resnet56 --stat gradient -o gradflow.json --plot gradient.svg",
        ("gradient.svg",),
    ),
    Entry(
        "error",
        "Does it train?",
        "resbench degradation --seeds 3 --dir runs -o degradation.json --plot error.svg",
        ("error.svg",),
    ),
    Entry(
        "placements",
        "Where the shortcut, BN and ReLU stand.",
        "resbench placements --depth 20 --epochs 5 --dir runs --plot placements.svg",
        ("placements.svg",),
    ),
    Entry(
        "gate",
        "Does this tree compute what is committed that it computes?",
        "resbench gate --counters --suite ../../suites/ci.toml",
    ),
    Entry(
        "history",
        "Where times and counters changed: here a commit made the suite smaller.",
        "resbench history --dir ../history --plot history.svg",
        ("history.svg",),
    ),
    Entry("claims", "What is said of residual learning, tried.", "resbench claims --dir runs -o claims.json"),
    Entry(
        "compared",
        "All that was stored of four networks in one table.",
        "resbench compare plain20 resnet20 plain56 resnet56 --from . --metrics params,macs,latency,gradient,error "
        "--pareto macs,error",
    ),
    Entry(
        "report",
        "And everything on one page, which opens without a network.",
        "resbench report plain56 resnet56 --from . -o report.html",
        ("report-light.png", "report-dark.png", "report-narrow.png"),
    ),
)

SHOTS = {
    "report-light.png": (1280, 900, "light", "#summary"),
    "report-dark.png": (1280, 900, "dark", "#gradient"),
    "report-narrow.png": (390, 844, "light", "#cost"),
}
"""Width, height, theme and place of the pictures of the page."""


def run(entry: Entry) -> None:
    """The command in the folder, as a user would type it."""
    words = [sys.executable, "-m", *entry.command.split()]
    for word in words:
        if word.endswith(".json"):
            (FOLDER / f"{word}.gz").unlink(missing_ok=True)
    env = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=FOLDER, env=env, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{entry.command}: {done.stderr}")
    text = done.stdout or tables(entry)
    if text:
        (FOLDER / f"{entry.name}.txt").write_text(f"$ {entry.command}\n{text}")
    if entry.name == "report":
        photograph()


def tables(entry: Entry) -> str:
    """What the command would have printed of what it stored: its tables, without those of many rows."""
    from resbench.pages.report import sections
    from resbench.results import find
    from resbench.tables.render import plain

    stored = next((word for word in entry.command.split() if word.endswith(".json")), None)
    if stored is None:
        return ""
    found = [table for section in sections(find([FOLDER / stored]))[1:] for table in section.tables]
    return "\n\n".join(plain(table) for table in found if len(table.rows) <= MOST_ROWS) + "\n"


def compressed() -> None:
    """Stored results take a tenth of the room; `--from` reads them all the same."""
    for path in FOLDER.glob("*.json"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def photograph() -> None:
    """The page as a person sees it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium: the pictures of the page stay as they are")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (width, height, theme, place) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            page.goto((FOLDER / "report.html").as_uri())
            page.evaluate(f"document.querySelector('{place}').scrollIntoView()")
            page.wait_for_timeout(2500)
            page.screenshot(path=FOLDER / name)
        browser.close()


def page() -> str:
    """The gallery in markdown."""
    lines = [
        "# Gallery",
        "",
        "Each table and picture with the command that made it; `make results` makes all of them again. What is",
        "measured is of the machine that its table names. Below a command that stores its result (`-o`) are the tables",
        f"of what it stored, without those of more than {MOST_ROWS} rows.",
    ]
    for entry in ENTRIES:
        lines += ["", f"## {entry.says.rstrip('.')}", "", "```text", f"$ {entry.command}"]
        text = FOLDER / f"{entry.name}.txt"
        if text.exists():
            lines += [line.rstrip() for line in text.read_text().splitlines()[1:]]
        lines += ["```"]
        for picture in entry.pictures:
            lines += ["", f"![{entry.says}](../results/gallery/{picture})"]
    return "\n".join(lines) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    names = sys.argv[1:] or [entry.name for entry in ENTRIES]
    if unknown := set(names) - {entry.name for entry in ENTRIES}:
        sys.exit(f"expected names of {', '.join(entry.name for entry in ENTRIES)}; received {', '.join(unknown)}")
    for entry in ENTRIES:
        if entry.name in names:
            print(f"$ {entry.command}", flush=True)
            run(entry)
    for passing in ("runs", "trace"):
        shutil.rmtree(FOLDER / passing, ignore_errors=True)
    compressed()
    (ROOT / "docs/gallery.md").write_text(page())


if __name__ == "__main__":
    main()
