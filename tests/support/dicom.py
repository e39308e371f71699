"""DICOM films that tests make, with values worked out beforehand."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

CR = ComputedRadiographyImageStorage


def dataset(pixels: NDArray[Any], bits: int = 0, **elements: Any) -> Dataset:
    """A film; `pixels` are its stored values [H, W] or [H, W, 3], `bits` those stored of each."""
    film = Dataset()
    film.SOPClassUID, film.SOPInstanceUID = CR, "1.2.3.4"
    film.Modality = "CR"
    film.Rows, film.Columns = pixels.shape[:2]
    film.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    film.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        film.PlanarConfiguration = 0
    film.BitsAllocated = pixels.dtype.itemsize * 8
    film.BitsStored = bits or film.BitsAllocated
    film.HighBit = film.BitsStored - 1
    film.PixelRepresentation = int(pixels.dtype.kind == "i")
    film.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(film, name, value)
    return film


def save(film: Dataset, syntax: str = ExplicitVRLittleEndian, frame: bytes | None = None) -> bytes:
    """The file of a film; `frame` is its compressed picture, for syntaxes that have one."""
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax
    film.file_meta.MediaStorageSOPClassUID, film.file_meta.MediaStorageSOPInstanceUID = film.SOPClassUID, "1.2.3.4"
    if frame is not None:
        film.PixelData = encapsulate([frame])
        film["PixelData"].VR = "OB"
        film["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    film.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def knee(height: int = 96, width: int = 80, bits: int = 12) -> NDArray[np.uint16]:
    """A bright bone on a dark ground with a ramp across it, as stored values of so many bits."""
    rows, columns = np.mgrid[0:height, 0:width]
    bone = np.abs(columns - width / 2) < width / 4
    shape = 0.1 + 0.3 * rows / height + 0.5 * bone + 0.05 * np.sin(columns / 3)
    return np.rint(shape * (2**bits - 1)).astype(np.uint16)
