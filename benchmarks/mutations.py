"""Small pictures of every format with random changes, through `osteolens.films.read.read`.

    python benchmarks/mutations.py --count 100000

Each must be read, or refused by name, within two seconds of CPU. Anything else is printed with the seed that makes the
same file again, and the status is 1. A decoder that hangs or crashes ends the program with its traceback.
"""

import argparse
import collections
import faulthandler
import io
import json
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from osteolens.errors import InputError
from osteolens.films.read import read

SLOW = 2.0
HANGS = 60.0  # seconds of one picture
SAVES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("JPEG", "L", {}),
    ("JPEG", "RGB", {"quality": 90, "subsampling": 0}),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "L", {"progressive": True, "optimize": True}),
    ("JPEG", "CMYK", {}),
    ("JPEG", "L", {"restart_marker_blocks": 4}),
    ("PNG", "L", {}),
    ("PNG", "P", {}),
    ("PNG", "1", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "I;16", {}),
    ("TIFF", "L", {}),
    ("TIFF", "I;16", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "L", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("BMP", "L", {}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("WebP", "RGB", {}),
    ("WebP", "RGBA", {"lossless": True}),
    ("AVIF", "RGB", {"speed": 10}),
)


def main() -> int:
    """Read the pictures and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--only", default="", help="formats whose name starts so, such as DICOM")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture; the next ones follow it")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's remarks on damaged headers
    originals = [picture for picture in pictures() if picture[0].startswith(options.only)]
    outcomes: collections.Counter[str] = collections.Counter()
    slowest, faults = (0.0, ""), 0
    for seed in range(options.seed, options.seed + options.count):
        kind, data = mutated(originals, seed)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        started = time.process_time()
        outcome = outcome_of(data)
        seconds = time.process_time() - started
        slowest = max(slowest, (seconds, f"{kind}, seed {seed}, {outcome}"))
        outcomes[outcome] += 1
        if outcome.startswith("raised") or seconds > SLOW:
            faults += 1
            print(f"{kind}, seed {seed}, {seconds:.2f} s: {outcome}", flush=True)
    faulthandler.cancel_dump_traceback_later()
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) / 1e6 for line in status.splitlines() if line.startswith("VmHWM"))
    report = {"pictures": options.count, "outcomes": dict(outcomes.most_common()), "faults": faults}
    print(json.dumps({**report, "slowest": slowest, "peak_gb": round(peak, 2)}, indent=1))
    return int(faults > 0)


def pictures() -> Iterator[tuple[str, bytes]]:
    """A soft random picture in every format and mode."""
    random = np.random.default_rng(0)
    for number, (kind, mode, save) in enumerate(SAVES):
        side = 64 + 6 * number
        soft = np.cumsum(random.normal(0, 4, (side, side + 9)), axis=1)
        grey = np.clip(soft - soft.min(), 0, 255).astype(np.uint8)
        deep = mode == "I;16"
        picture = Image.fromarray(grey.astype(np.uint16) * 97) if deep else Image.fromarray(grey).convert(mode)
        stream = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(stream, kind, **save, **({"exif": exif} if kind != "BMP" else {}))
        yield f"{kind} {mode}", stream.getvalue()
    yield from dicom_films(grey)
    if find_spec("pillow_heif"):
        import pillow_heif

        stream = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(grey)).save(stream)
        yield "HEIC L", stream.getvalue()


def dicom_films(grey: NDArray[np.uint8]) -> Iterator[tuple[str, bytes]]:
    """A film of 12 bits in every kind of transfer syntax that can be written here."""
    deep = grey.astype(np.uint16) * 16
    codes = {
        uid.ExplicitVRLittleEndian: None,
        uid.ImplicitVRLittleEndian: None,
        uid.DeflatedExplicitVRLittleEndian: None,
        uid.JPEGLosslessSV1: imagecodecs.ljpeg_encode(deep, bitspersample=12),
        uid.JPEGExtended12Bit: imagecodecs.jpeg8_encode(deep, bitspersample=12, level=90),
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(deep),
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(deep, codecformat="J2K", reversible=True, level=0),
        uid.HTJ2KLossless: imagecodecs.htj2k_encode(deep),
    }
    for syntax, frame in codes.items():
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = uid.ComputedRadiographyImageStorage, "1.2.3"
        header.BodyPartExamined, header.PatientAge, header.PixelSpacing = "KNEE", "063Y", [0.15, 0.15]
        header.Rows, header.Columns = deep.shape
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME1"
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
        header.WindowCenter, header.WindowWidth, header.PixelPaddingValue = 2000, 3000, 0
        header.PixelData = deep.tobytes() if frame is None else encapsulate([frame])
        header["PixelData"].VR = "OW" if frame is None else "OB"
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax
        stream = io.BytesIO()
        header.save_as(stream, enforce_file_format=True)
        yield f"DICOM {syntax.name}", stream.getvalue()


def mutated(originals: list[tuple[str, bytes]], seed: int) -> tuple[str, bytes]:
    """One of the pictures with one to three changes, most of them where the headers are."""
    random = np.random.default_rng(seed)
    kind, whole = originals[random.integers(len(originals))]
    data = bytearray(whole)
    for _ in range(random.integers(1, 4)):
        end = min(len(data), 600) if random.random() < 0.6 else len(data)
        place, length = int(random.integers(0, max(end, 1))), int(2 ** random.uniform(0, 8))
        match random.integers(6):
            case 0:
                data[place : place + length] = random.bytes(len(data[place : place + length]))
            case 1:
                data[place : place + 1] = bytes([data[place] ^ 1 << random.integers(8)] if data else b"")
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = data[place : place + length] * int(random.integers(1, 5))
            case 4:
                data[place : place + 4] = random.choice(
                    [b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x00\x00\x10\x00"]
                )
            case 5 if random.random() < 0.3:
                del data[place:]
    return kind, bytes(data)


def outcome_of(data: bytes) -> str:
    """What `image.read` makes of a file, in a word or two."""
    try:
        picture = read(data)
    except InputError as error:
        return "raised an error that shows an address" if " at 0x" in str(error) else f"refused: {error.code}"
    except Exception as error:  # noqa: BLE001 - this is what is being looked for
        return f"raised {type(error).__name__}: {error}"
    return "read with a warning" if picture.warnings else "read"


if __name__ == "__main__":
    sys.exit(main())
