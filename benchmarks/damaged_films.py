"""What becomes of films that were damaged on their way: refused, warned of, or answered as if they were whole.

    python benchmarks/damaged_films.py --films FOLDER --count 400

Whole JPEG films of a folder are damaged in the data of their scans, in turn: cut and closed with an end mark, 4 KiB
zeroed, up to 4 KiB deleted or overwritten with random bytes, one bit flipped. Each is compared with the whole film, so
that what is neither refused nor warned of is told by its share of changed pixels. A flipped bit in the size of a
coefficient is a valid file of another picture, which nobody can tell from a whole one: it changes one block or, in a
block's mean, shifts the grey of what follows. The refining scans of a progressive film hold such bits alone.
Whole films that are refused or warned of are counted, too.
"""

import argparse
import collections
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from osteolens.errors import InputError
from osteolens.films import jpeg
from osteolens.films.read import read

LARGE = 0.01  # of the pixels
END = b"\xff\xd9"

Damage = Callable[[bytes, int, np.random.Generator], bytes]


def cut_and_closed(film: bytes, start: int, random: np.random.Generator) -> bytes:
    """The film up to a random place, and an end mark."""
    return film[: random.integers(start, len(film) - 100)] + END


def zeroed(film: bytes, start: int, random: np.random.Generator) -> bytes:
    """4 KiB of zeros."""
    place, length = _stretch(film, start, 4096, random)
    return film[:place] + bytes(length) + film[place + length :]


def deleted(film: bytes, start: int, random: np.random.Generator) -> bytes:
    """1 to 4,096 bytes left out."""
    place, length = _stretch(film, start, int(2 ** random.uniform(0, 12)), random)
    return film[:place] + film[place + length :]


def overwritten(film: bytes, start: int, random: np.random.Generator) -> bytes:
    """1 to 4,096 random bytes."""
    place, length = _stretch(film, start, int(2 ** random.uniform(0, 12)), random)
    return film[:place] + random.bytes(length) + film[place + length :]


def one_bit(film: bytes, start: int, random: np.random.Generator) -> bytes:
    """One flipped bit."""
    place, _ = _stretch(film, start, 1, random)
    return film[:place] + bytes([film[place] ^ 1 << random.integers(8)]) + film[place + 1 :]


DAMAGES: tuple[Damage, ...] = (cut_and_closed, zeroed, deleted, overwritten, one_bit)


def _stretch(film: bytes, start: int, length: int, random: np.random.Generator) -> tuple[int, int]:
    length = min(length, (len(film) - start) // 2)
    return int(random.integers(start, len(film) - len(END) - length)), length


def main() -> None:
    """Damage the films and print a table by kind of damage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="folder of whole JPEG films, searched through")
    parser.add_argument("--count", type=int, default=400, help="damaged films")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = sorted(path for path in options.films.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    print(json.dumps({"whole": whole(paths), **damaged(paths, options.count, options.seed)}, indent=1))


def whole(paths: list[Path]) -> dict[str, object]:
    """How many whole films are read, and which are not, or only with a warning."""
    answers = {path.name: _answer(path.read_bytes()) for path in paths}
    unlike = {name: str(answer) for name, answer in answers.items() if isinstance(answer, str)}
    return {"films": len(paths), "refused_or_warned": unlike}


def damaged(paths: list[Path], count: int, seed: int) -> dict[str, dict[str, object]]:
    """Outcomes by kind of damage; of silent ones, how many pixels differ."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(paths))
    outcomes: dict[str, collections.Counter[str]] = {damage.__name__: collections.Counter() for damage in DAMAGES}
    shares: dict[str, list[float]] = {damage.__name__: [] for damage in DAMAGES}
    for number in range(count):
        damage = DAMAGES[number % len(DAMAGES)]
        film = paths[order[number % len(paths)]].read_bytes()
        answer = _answer(damage(film, jpeg.examine(film).scans[0].spectrum + 3, random))
        if isinstance(answer, str):
            outcomes[damage.__name__][answer] += 1
            continue
        share = float(np.mean(answer != read(film).pixels))
        outcomes[damage.__name__]["silent" if share else "same pixels"] += 1
        shares[damage.__name__].append(share)
    return {
        kind: {
            **counted,
            f"silent_above_{LARGE:.0%}": sum(share > LARGE for share in shares[kind]),
            "silent_share_of_pixels": [round(share, 5) for share in sorted(shares[kind]) if share],
        }
        for kind, counted in outcomes.items()
    }


def _answer(film: bytes) -> NDArray[np.uint8] | str:
    """Pixels that came without a word, or what was said."""
    try:
        picture = read(film)
    except InputError:
        return "refused"
    return "warned" if picture.warnings else picture.pixels


if __name__ == "__main__":
    main()
