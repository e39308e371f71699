"""How often the warning of an inverted film is right: on films as they are, and on inverted copies of them.

    python benchmarks/inverted_films.py --films DIR [--films DIR ...] [--table films.csv] [--skip inverted.txt]

A table with the columns `file` and `group` splits its films into the half on which the rule was chosen and the rest.
"""

import argparse
import csv
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from osteolens.errors import InputError
from osteolens.films.read import read
from osteolens.films.sense import brightness_inside, looks_inverted


def main() -> None:
    """Print one line for each collection and half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=Path, action="append", required=True, help="a folder of films; repeatable")
    parser.add_argument("--sample", type=int, default=1000, help="at most so many of each folder, drawn by chance")
    parser.add_argument("--seed", type=int, default=1, help="random seed of the sample")
    parser.add_argument("--table", type=Path, action="append", default=[], help="files and their groups")
    parser.add_argument("--skip", type=Path, help="names of files that are inverted in truth, one a line")
    options = parser.parse_args()
    group_of = {Path(row["file"]).name: row["group"] for path in options.table for row in csv.DictReader(path.open())}
    chosen_on = first_half(set(group_of.values()))
    truly = set(options.skip.read_text().split()) if options.skip else set()
    for folder in options.films:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".tif"))
        files = random.Random(options.seed).sample(files, min(options.sample, len(files)))
        report(folder, [path for path in files if path.name not in truly], group_of, chosen_on)


def first_half(groups: set[str]) -> set[str]:
    """A random half of the groups: the one that the rule's columns and threshold were chosen on."""
    names = np.random.default_rng(0).permutation(sorted(groups))
    return {str(name) for name in names[: len(names) // 2]}


def report(folder: Path, files: list[Path], group_of: dict[str, str], chosen_on: set[str]) -> None:
    """Count warnings on films as they are and on their inverted copies."""
    halves: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    seconds = []
    for path in files:
        try:
            pixels = read(path).pixels
        except InputError as error:
            print(f"{path}: {error}")
            continue
        start = time.perf_counter()
        warned = looks_inverted(pixels)
        seconds.append(time.perf_counter() - start)
        if warned:
            print(f"  warned: {path.name} {brightness_inside(pixels):.2f}")
        group = group_of.get(path.name)
        half = "all" if group is None else "chosen on" if group in chosen_on else "held out"
        halves[half].append((warned, looks_inverted(255 - pixels)))
    for half, answers in sorted(halves.items()):
        alarms, detected = (sum(column) for column in zip(*answers, strict=True))
        print(
            f"{folder.name} ({half}): {len(answers)} films, {alarms} warned as they are ({alarms / len(answers):.1%}), "
            f"{detected} of the inverted copies ({detected / len(answers):.1%})"
        )
    print(f"{folder.name}: {1000 * float(np.median(seconds)):.2f} ms a film at the median")


if __name__ == "__main__":
    main()
