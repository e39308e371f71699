"""DICOM films: each way of storing one and the same film gives the same picture, and damage is named."""

import io
import shutil
import subprocess
import time
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.sequence import Sequence
from support.dicom import CR, dataset, knee, save

from osteolens.errors import InputError, InputTooLarge, TooCostly, UnreadableImage, UnsupportedType, UnusableImage
from osteolens.films import dicom, dicom_codestream, dicom_pixels
from osteolens.films.read import read, read_bare

BITS = 12
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}  # the whole 12-bit range: 0 -> 0, 4095 -> 255
LOSSLESS = {
    uid.JPEGLosslessSV1: lambda pixels: imagecodecs.ljpeg_encode(pixels, bitspersample=BITS),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEG2000Lossless: lambda pixels: imagecodecs.jpeg2k_encode(
        pixels, codecformat="J2K", reversible=True, level=0, bitspersample=BITS
    ),
    uid.HTJ2KLossless: imagecodecs.htj2k_encode,
}
UNCOMPRESSED = [
    uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian,
]  # fmt: skip


def film(*values: int, **elements: object) -> bytes:
    """A 64 x 64 film of 12 bits whose first pixels are `values`, on a ramp over the whole range."""
    pixels = np.linspace(0, 4095, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    pixels[0, : len(values)] = values
    return save(dataset(pixels, BITS, **elements))


def expected(pixels: np.ndarray) -> np.ndarray:
    """12-bit values over their whole range in 8 bits: (x - 2047.5) / 4095 + 0.5 is x / 4095."""
    return np.rint(pixels / 4095 * 255).astype(np.uint8)


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=lambda syntax: syntax.name)
def test_uncompressed_films(syntax: str) -> None:
    whole = save(dataset(knee(), BITS, **WINDOW), syntax)
    picture = read(whole)
    assert picture.format == "DICOM"
    assert np.array_equal(picture.pixels, expected(knee()))
    assert np.array_equal(read(read_bare(whole)[1]).pixels, expected(knee()))


def test_big_endian() -> None:
    swapped = dataset(knee().astype(">u2"), BITS, **WINDOW)
    swapped["PixelData"].VR = "OW"
    swapped.VOILUTSequence = lut(0, [place * 16 for place in range(4096)], 16)
    swapped.VOILUTSequence[0]["LUTData"].VR = "OW"
    swapped.VOILUTSequence[0].LUTData = (np.arange(4096) * 16).astype(">u2").tobytes()
    whole = save(swapped, uid.ExplicitVRBigEndian)
    linear = np.rint(knee() * 16 / 65535 * 255).astype(np.uint8)
    assert np.array_equal(read(whole).pixels, linear)
    assert np.array_equal(read(read_bare(whole)[1]).pixels, linear)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_losslessly_compressed_films(syntax: str) -> None:
    whole = save(dataset(knee(), BITS, **WINDOW), syntax, LOSSLESS[syntax](knee()))
    assert np.array_equal(read(whole).pixels, expected(knee()))
    assert np.array_equal(read(read_bare(whole)[1]).pixels, expected(knee()))


def as_pydicom_decodes_it(whole: bytes) -> np.ndarray:
    with dicom.unchecked():
        coded = dicom.open_film(whole)
        theirs, _ = get_decoder(coded.file_meta.TransferSyntaxUID).as_array(coded, raw=True, index=0)
        ours = dicom_pixels.stored_values(coded)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)
    return ours


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("bits", [7, 8, 10, 12, 16])
@pytest.mark.parametrize("level", [0, 3])
def test_jpeg_ls_is_decoded_as_pydicom_decodes_it(bits: int, signed: int, level: int) -> None:
    """Ours takes a quarter of the time, and has to give the same bits, of near-lossless films too."""
    pixels = knee(bits=bits).astype(np.uint8 if bits <= 8 else np.uint16)
    syntax = uid.JPEGLSNearLossless if level else uid.JPEGLSLossless
    frame = imagecodecs.jpegls_encode(pixels, level=level)
    ours = as_pydicom_decodes_it(save(dataset(pixels, bits, PixelRepresentation=signed), syntax, frame))
    assert np.abs(ours.astype(int) - pixels.astype(ours.dtype)).max() <= level


@pytest.mark.parametrize("header_signed", [0, 1])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless], ids=lambda uid: uid.name)
def test_jpeg_2000_is_decoded_as_pydicom_decodes_it(syntax: str, kind: type, header_signed: int) -> None:
    bits = 8 if kind is np.uint8 else 12
    pixels = knee(bits=bits).astype(kind) - (2048 if kind is np.int16 else 0)
    if syntax == uid.HTJ2KLossless:
        frame = imagecodecs.htj2k_encode(pixels)
    else:
        options = {"level": 40} if syntax == uid.JPEG2000 else {"reversible": True, "level": 0}
        frame = imagecodecs.jpeg2k_encode(pixels, codecformat="J2K", bitspersample=bits, **options)
    whole = dataset(pixels, bits, PixelRepresentation=header_signed)
    as_pydicom_decodes_it(save(whole, syntax, frame))


@pytest.mark.parametrize("codec", ["jpegls", "jpeg2k"])
@pytest.mark.parametrize("header_signed", [0, 1])
def test_a_compressed_picture_of_fewer_bits_than_the_header_says_is_read(codec: str, header_signed: int) -> None:
    eight = knee(bits=8).astype(np.uint8)
    options = {"codecformat": "J2K", "reversible": True, "level": 0} if codec == "jpeg2k" else {}
    frame = getattr(imagecodecs, f"{codec}_encode")(eight, **options)
    syntax = uid.JPEG2000Lossless if codec == "jpeg2k" else uid.JPEGLSLossless
    header = dataset(knee(), BITS, WindowCenter=128, WindowWidth=256, PixelRepresentation=header_signed)
    if not header_signed:
        assert np.array_equal(read(save(header, syntax, frame)).pixels, eight)
    else:
        read(save(header, syntax, frame))


@pytest.mark.parametrize("header_signed", [0, 1])
def test_a_compressed_picture_of_more_bits_than_are_allocated_is_refused(header_signed: int) -> None:
    """It claimed 32 bits, for which a count of every possible value took 32 GiB."""
    deep = knee().astype(np.uint32) << 10
    frame = imagecodecs.jpeg2k_encode(deep, codecformat="J2K", reversible=True, level=0, bitspersample=24)
    with pytest.raises(UnreadableImage, match="JPEG 2000"):
        read(save(dataset(knee(), BITS, PixelRepresentation=header_signed), uid.JPEG2000Lossless, frame))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_a_jpeg_ls_picture_that_was_cut_is_refused_at_once(share: float) -> None:
    """The decoder took five seconds for the missing end of one of 3 kB."""
    frame = LOSSLESS[uid.JPEGLSLossless](knee())
    cut = save(dataset(knee(), BITS), uid.JPEGLSLossless, frame[: int(share * len(frame)) // 2 * 2])
    started = time.process_time()
    with pytest.raises(UnreadableImage, match="JPEG-LS"):
        read(cut)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("high_bit", [11, 13, 15])
def test_the_stored_bits_are_found_where_the_header_says(syntax: str, high_bit: int) -> None:
    """Twelve bits below, between and above others that are set at random."""
    shift = high_bit - 11
    others = np.random.default_rng(1).integers(0, 2**16, (96, 80)).astype(np.uint16) & ~np.uint16(4095 << shift)
    pixels = (knee() << shift) | others
    coded = dataset(pixels.astype(">u2") if "Big" in uid.UID(syntax).name else pixels, BITS, HighBit=high_bit, **WINDOW)
    coded["PixelData"].VR = "OW"
    whole = save(coded, syntax)
    assert np.array_equal(read(whole).pixels, expected(knee()))
    assert np.array_equal(read(read_bare(whole)[1]).pixels, expected(knee()))


def test_run_length_coding() -> None:
    coded = dataset(knee(), BITS, **WINDOW)
    data = dcmread(io.BytesIO(save(coded)))
    data.compress(uid.RLELossless)
    assert np.array_equal(read(save(data, uid.RLELossless)).pixels, expected(knee()))


def test_lossy_jpeg_of_8_and_12_bits() -> None:
    eight = (knee() >> 4).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(eight).save(stream, "JPEG", quality=95)
    decoded = np.asarray(Image.open(stream)).astype(int)
    comment = b"\xff\xfe\x00\x0bQuendolin"
    commented = stream.getvalue()[:2] + comment + stream.getvalue()[2:]
    whole = save(dataset(eight), uid.JPEGBaseline8Bit, commented + b"\0" * (len(commented) % 2))
    assert np.array_equal(read(whole).pixels, decoded)
    bare = read_bare(whole)[1]
    assert b"Quendolin" not in bare
    assert np.array_equal(read(bare).pixels, decoded)
    twelve = imagecodecs.jpeg8_encode(knee(), bitspersample=12, level=98)
    picture = read(save(dataset(knee(), BITS, **WINDOW), uid.JPEGExtended12Bit, twelve))
    assert np.abs(picture.pixels.astype(int) - expected(knee())).max() <= 2


@pytest.mark.parametrize(
    ("function", "value", "grey"),
    [
        # (1000 - 2099.5) / 999 + 0.5 is below 0; (1700 - 2099.5) / 999 + 0.5 = 0.1001; 0.1001 * 255 = 25.5
        ("LINEAR", 1000, 0),
        ("LINEAR", 1702, 26),  # (1702 - 2099.5) / 999 + 0.5 = 0.10210; * 255 = 26.04
        ("LINEAR_EXACT", 1702, 26),  # (1702 - 2100) / 1000 + 0.5 = 0.102; * 255 = 26.01
        ("LINEAR_EXACT", 2600, 255),
        ("SIGMOID", 2100, 128),  # 255 / 2 = 127.5, rounded to even
        ("SIGMOID", 2350, 186),  # 255 / (1 + exp(-1)) = 186.42
    ],
)
def test_windows(function: str, value: int, grey: int) -> None:
    picture = read(film(value, WindowCenter=2100, WindowWidth=1000, VOILUTFunction=function))
    assert picture.pixels[0, 0] == grey


def test_the_first_of_several_windows_counts() -> None:
    windows = film(1000, WindowCenter=[2048, 100], WindowWidth=[4096, 50])
    assert read(windows).pixels[0, 0] == round(1000 / 4095 * 255)


def test_signed_values_and_rescale() -> None:
    # stored -1000 becomes -1000 * 2 + 500 = -1500; (-1500 - (-0.5)) / 3999 + 0.5 = 0.12503; * 255 = 31.88
    pixels = np.linspace(-2000, 2000, 64 * 64).round().astype(np.int16).reshape(64, 64)
    pixels[0, 0] = -1000
    signed = dataset(pixels, 16, RescaleSlope=2, RescaleIntercept=500, WindowCenter=0, WindowWidth=4000)
    assert read(save(signed)).pixels[0, 0] == 32
    twelve = np.where(pixels < 0, pixels + 4096, pixels).astype(np.uint16)
    packed = save(dataset(twelve, BITS, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096))
    assert read(packed).pixels[0, 0] == round((-1000 + 0.5) / 4095 * 255 + 127.5)
    assert np.array_equal(read(read_bare(packed)[1]).pixels, read(packed).pixels)


def lut(first: int, entries: list[int], bits: int) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return Sequence([item])


def test_lookup_tables_of_8_bits_with_more_than_256_entries() -> None:
    table = lut(1000, [min(place // 4, 255) for place in range(2000)], 8)
    picture = read(film(900, 1400, 3999, VOILUTSequence=table))
    assert list(picture.pixels[0, :3]) == [0, 100, 255]  # before the table, 400 / 4, beyond its end


def test_modality_table_comes_first() -> None:
    modality = lut(0, list(range(4095, -1, -1)), 12)
    picture = read(film(95, ModalityLUTSequence=modality, **WINDOW))
    assert picture.pixels[0, 0] == round(4000 / 4095 * 255)


@pytest.mark.parametrize(
    ("elements", "inverted"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
    ],
)
def test_inversion(elements: dict[str, str], inverted: bool) -> None:
    grey = read(film(1000, **WINDOW, **elements)).pixels[0, 0]
    assert grey == (255 - round(1000 / 4095 * 255) if inverted else round(1000 / 4095 * 255))


def test_padding_is_black_in_both_polarities_and_no_part_of_the_range() -> None:
    for interpretation in ("MONOCHROME1", "MONOCHROME2"):
        pixels = knee(bits=10) + 100
        pixels[:, :20] = 4000
        padded = dataset(pixels, BITS, PhotometricInterpretation=interpretation, PixelPaddingValue=4000)
        picture = read(save(padded)).pixels
        assert not picture[:, :20].any()
        assert np.ptp(picture[:, 20:]) >= 250  # 4000 did not widen the range


def test_bits_that_are_not_stored_are_ignored() -> None:
    pixels = knee() | 0xF000
    assert np.array_equal(read(save(dataset(pixels, BITS, **WINDOW))).pixels, expected(knee()))


def test_one_film_stored_three_ways_gives_one_picture() -> None:
    grey = np.rint(knee(bits=16) / 65535 * 255)
    low, high = np.percentile(grey, [0.5, 99.5])
    twelve = knee(bits=12)
    window = {"WindowCenter": (low + high) / 2 * 4095 / 255, "WindowWidth": (high - low) * 4095 / 255}
    shown = read(save(dataset(twelve, BITS, VOILUTFunction="LINEAR_EXACT", **window))).pixels.astype(int)
    sixteen = dataset(65535 - knee(bits=16), 16, PhotometricInterpretation="MONOCHROME1")
    assert np.abs(read(save(sixteen)).pixels.astype(int) - shown).max() <= 1
    stream = io.BytesIO()
    Image.fromarray(np.clip((grey - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)).save(stream, "PNG")
    assert np.abs(read(stream.getvalue()).pixels.astype(int) - shown).max() <= 1


def test_colour() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = (200, 100, 50)
    assert read(save(dataset(pixels))).pixels[0, 0] == 124  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
    ybr = np.zeros((64, 64, 3), np.uint8)
    ybr[..., 1:] = 128
    ybr[:32, :, 0] = 124
    assert read(save(dataset(ybr, PhotometricInterpretation="YBR_FULL"))).pixels[0, 0] == 124
    palette = dataset(np.tile(np.arange(64, dtype=np.uint8) % 2, (64, 1)), PhotometricInterpretation="PALETTE COLOR")
    for name, value in {"Red": 200, "Green": 100, "Blue": 50}.items():
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [2, 0, 8])
        setattr(palette, f"{name}PaletteColorLookupTableData", bytes([0, value]))
    assert list(read(save(palette)).pixels[0, :2]) == [0, 124]


def test_a_window_beside_the_film_is_replaced_with_a_warning() -> None:
    picture = read(film(WindowCenter=60000, WindowWidth=10))
    assert np.ptp(picture.pixels) == 255
    assert "shows nothing" in picture.warnings[0]


def test_what_the_header_says() -> None:
    told = film(
        BodyPartExamined="KNEE", ViewPosition="AP", ImageLaterality="L", PixelSpacing=[0.15, 0.15], PatientAge="063Y",
        PatientSex="F", PatientWeight=70.5, PatientSize=1.62, PatientName="Nobody^Real", **WINDOW,
    )  # fmt: skip
    source = read(told).source
    assert source is not None
    assert source.model_dump() == {
        "body_part": "KNEE", "view": "AP", "side": "left", "pixel_spacing_mm": (0.15, 0.15), "age": 63.0,
        "sex": "female", "weight_kg": 70.5, "height_m": 1.62,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "side", "warning", "code"),
    [
        ({"SeriesDescription": "Knie rechts ap"}, "right", "", ""),
        ({"Laterality": "R", "SeriesDescription": "left knee"}, None, "both the left and the right", ""),
        ({"BodyPartExamined": "CHEST"}, None, "body part CHEST, expected KNEE", "other_body_part"),
        ({"BodyPartExamined": "MUELLER JOHANNA"}, None, "a body part that is not the knee", "other_body_part"),
        ({"ViewPosition": "LL"}, None, "view LL, expected AP or PA", "other_view"),
        ({"PatientSize": 162}, None, "size cannot be right", ""),
    ],
)
def test_what_a_header_leaves_open(elements: dict[str, object], side: str | None, warning: str, code: str) -> None:
    picture = read(film(**elements, **WINDOW))
    assert picture.source is not None
    assert picture.source.side == side
    assert warning in "".join([*picture.warnings, *(reason.message for reason in picture.reasons)])
    assert [reason.code for reason in picture.reasons] == ([code] if code else [])
    assert "MUELLER" not in str(picture)


def many_nested(depth: int) -> bytes:
    """Sequences of undefined length, one inside the other, in place of the series description."""
    opening = bytes.fromhex("08001011") + b"SQ\0\0" + b"\xff" * 4 + bytes.fromhex("feff00e0") + b"\xff" * 4
    return b"\0" * 128 + b"DICM" + opening * depth


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (film(**WINDOW)[:-100], UnreadableImage, "8,092 bytes of pixels where its header says 8,192"),
        (film(Rows=128, **WINDOW), UnreadableImage, "8,192 bytes of pixels where its header says 16,384"),
        (film(Columns=63, **WINDOW), UnusableImage, "63 x 64"),
        (film(Rows=60000, Columns=60000), InputTooLarge, "60000 x 60000 pixels"),
        (film(NumberOfFrames=30), UnsupportedType, "30 frames"),
        (film(SOPClassUID=uid.CTImageStorage), UnsupportedType, "CT Image Storage, which is not a film"),
        (film(SOPClassUID="1.2.840.999.1"), UnsupportedType, "class that the standard does not name"),
        (film(PhotometricInterpretation="CMYK"), UnsupportedType, "unknown photometric interpretation"),
        (film(BitsStored=13, BitsAllocated=12), UnsupportedType, "13 of 12 bits"),
        (b"\0" * 128 + b"DICM", UnsupportedType, "without pixels"),
        (b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff", UnsupportedType, "transfer syntax"),
        (many_nested(10_000), UnreadableImage, "cannot be read"),
        (save(dataset(knee(), BITS), uid.JPEG2000Lossless, b"\xff\x4f\xff\x51broken"), UnreadableImage, "JPEG 2000"),
        (save(dataset(knee(), BITS), uid.JPEGLSLossless, b"broken" * 9), UnreadableImage, "JPEG-LS"),
        (save(dataset(knee(), BITS), uid.MPEG2MPML, b"film"), UnsupportedType, "MPEG2"),
        (film(Rows=8000, Columns=8000, BitsAllocated=16)[:-8192], UnreadableImage, "bytes of pixels"),
    ],
)  # fmt: skip
def test_unusable_files_are_named(data: bytes, error: type[InputError], words: str) -> None:
    with pytest.raises(error, match=words):
        read(data)


def test_float_pixels_and_directories_are_named() -> None:
    floats = dataset(knee(), BITS)
    del floats.PixelData
    floats.FloatPixelData = knee().astype(np.float32).tobytes()
    with pytest.raises(UnsupportedType, match="floating-point"):
        read(save(floats))
    listing = dataset(knee(), BITS, SOPClassUID=uid.MediaStorageDirectoryStorage, DirectoryRecordSequence=Sequence())
    with pytest.raises(UnsupportedType, match="DICOMDIR"):
        read(save(listing))


def test_a_damaged_jpeg_inside_is_refused() -> None:
    eight = (knee() >> 4).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(eight).save(stream, "JPEG", quality=95)
    with pytest.raises(UnreadableImage, match="inside the DICOM film"):
        read(save(dataset(eight), uid.JPEGBaseline8Bit, stream.getvalue()[:-400]))


def test_a_deflated_bomb_is_refused_before_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osteolens.films.dicom.MAX_INFLATED", 10_000)
    with pytest.raises(InputTooLarge, match="grows to more than 10,000 bytes"):
        read(save(dataset(knee(), BITS), uid.DeflatedExplicitVRLittleEndian))


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.JPEGLosslessSV1])
def test_a_compressed_picture_that_claims_another_size_is_refused_before_decoding(syntax: str) -> None:
    coded = LOSSLESS[syntax](knee())
    header = {uid.JPEG2000Lossless: b"\xff\x51", uid.JPEGLSLossless: b"\xff\xf7", uid.JPEGLosslessSV1: b"\xff\xc3"}[
        syntax
    ]
    at = coded.index(header)
    width = (80).to_bytes(4 if syntax == uid.JPEG2000Lossless else 2)
    larger = coded[:at] + coded[at:].replace(width, b"\x7f" + width[1:], 1)
    assert larger != coded
    with pytest.raises(UnreadableImage, match="header says 80 x 96 pixels, the compressed picture inside it"):
        read(save(dataset(knee(), BITS), syntax, larger))


def test_jpeg_2000_of_64_megapixels_costs_too_much() -> None:
    large = dataset(knee(), BITS, Rows=8000, Columns=8000)
    with pytest.raises(TooCostly, match="processor time"):
        read(save(large, uid.JPEG2000Lossless, b"\xff\x4f\xff\x51"))


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm",
     "SC_rgb_small_odd.dcm", "examples_palette.dcm", "examples_ybr_color.dcm", "SC_rgb_jpeg_dcmtk.dcm"],
)  # fmt: skip
def test_other_peoples_files_look_as_another_decoder_shows_them(name: str, tmp_path) -> None:
    """dcmtk's picture of the same file: same window, polarity and colours, at most two grey levels apart."""
    if shutil.which("dcmj2pnm") is None:
        pytest.skip("dcmj2pnm is not installed: apt-get install dcmtk")
    path = get_testdata_file(name)
    if path is None:
        pytest.skip(f"{name} is not in this release of pydicom")
    data = dcmread(path)
    if min(data.Rows, data.Columns) < 64 or int(data.get("NumberOfFrames", 1)) > 1:
        pytest.skip("not a single picture of at least 64 pixels")
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CR
    for element in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        data.pop(element, None)
    if "WindowCenter" not in data and data.SamplesPerPixel == 1 and data.PhotometricInterpretation != "PALETTE COLOR":
        data.WindowCenter, data.WindowWidth = 1000, 1500
    data.save_as(tmp_path / "film.dcm")
    window = ["+Wi", "1"] if "WindowCenter" in data else []
    subprocess.run(["dcmj2pnm", "+op", *window, "film.dcm", "film.pnm"], cwd=tmp_path, check=True, capture_output=True)
    theirs = np.asarray(Image.open(tmp_path / "film.pnm").convert("L")).astype(int)
    ours = read(tmp_path / "film.dcm").pixels
    assert np.abs(ours.astype(int) - theirs).max() <= 2
    assert np.array_equal(read(read_bare((tmp_path / "film.dcm").read_bytes())[1]).pixels, ours)


def test_a_film_without_identity_is_the_same_film() -> None:
    names = {
        "PatientName": "Mustermann^Erika", "PatientID": "4711-0815", "InstitutionName": "Klinikum Musterstadt",
        "SeriesDescription": "Mustermann Knie links", "AccessionNumber": "ACC-99", "PatientBirthDate": "19600102",
        "ReferringPhysicianName": "Dr^Beispiel",
    }  # fmt: skip
    private = Dataset()
    private.PatientName = "Mustermann^Erika"
    whole = film(PatientAge="063Y", PatientSex="F", PatientWeight=70.5, RequestAttributesSequence=Sequence([private]),
                 **names, **WINDOW)  # fmt: skip
    assert b"Mustermann" in whole
    bare = read_bare(whole)[1]
    for value in names.values():
        for part in value.split("^"):
            assert part.encode() not in bare
    before, after = read(whole), read(bare)
    assert np.array_equal(before.pixels, after.pixels)
    assert before.source == after.source
    assert after.source is not None
    assert after.source.side == "left"
    assert read_bare(whole)[1] == bare


def test_a_large_film_without_identity_is_deflated(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = save(dataset(knee(), BITS, **WINDOW))
    plain = read_bare(whole)[1]
    monkeypatch.setattr("osteolens.films.dicom_bare.MOST_PLAIN_BYTES", 10_000)
    deflated = read_bare(whole)[1]
    assert len(deflated) < len(plain) < len(whole) + 200
    assert np.array_equal(read(deflated).pixels, expected(knee()))


def test_other_formats_stay_as_they_are() -> None:
    stream = io.BytesIO()
    Image.fromarray((knee() >> 4).astype(np.uint8)).save(stream, "PNG")
    assert read_bare(stream.getvalue())[1] == stream.getvalue()


JPEG_COMMENT, JPEG_2000_COMMENT = b"\xff\xfe\x00\x0bQuendolin", b"\xff\x64\x00\x0d\x00\x01Quendolin"


def commented(frame: bytes) -> bytes:
    """The picture with a name in a comment and after its end."""
    if frame[:2] == b"\xff\xd8":
        made = frame[:2] + JPEG_COMMENT + b"\xff\xe5\x00\x0cBrzezinka!" + frame[2:]
    else:
        end = 4 + int.from_bytes(frame[4:6])  # SIZ comes first
        made = frame[:end] + JPEG_2000_COMMENT + frame[end:]
    made += b"Oberkofler"
    return made + b"\0" * (len(made) % 2)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_a_compressed_film_stays_compressed_without_its_comments_and_is_decoded_once(
    syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = LOSSLESS[syntax](knee())
    whole = save(dataset(knee(), BITS, **WINDOW), syntax, commented(frame))
    decoded: list[str] = []
    decode = dicom_pixels.stored_values
    monkeypatch.setattr(dicom_pixels, "stored_values", lambda film: decoded.append(str(film.Rows)) or decode(film))
    picture, bare = read_bare(whole)
    assert decoded == ["96"]
    copy = dcmread(io.BytesIO(bare))
    assert copy.file_meta.TransferSyntaxUID == syntax
    assert len(copy.PixelData) <= len(frame) + 32
    assert [name for name in (b"Quendolin", b"Brzezinka", b"Oberkofler") if name in bare] == []
    assert np.array_equal(picture.pixels, expected(knee()))
    assert np.array_equal(read(bare).pixels, expected(knee()))


def test_a_compressed_film_with_other_bits_than_stored_ones_is_decoded() -> None:
    """Bits above the stored ones may hold an overlay with text."""
    pixels = knee()
    pixels[10:20, 10:20] |= 1 << 14
    whole = save(dataset(pixels, BITS, **WINDOW), uid.JPEGLSLossless, LOSSLESS[uid.JPEGLSLossless](pixels))
    copy = dcmread(io.BytesIO(read_bare(whole)[1]))
    assert copy.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    assert copy.pixel_array.max() < 1 << BITS


@pytest.mark.parametrize("damage", [slice(0, -2), slice(2, None), slice(0, 40)])
def test_a_stream_that_is_not_understood_is_not_kept(damage: slice) -> None:
    for syntax, encode in LOSSLESS.items():
        assert dicom_codestream.bare_frame(encapsulate([encode(knee())[damage]]), uid.UID(syntax)) is None


def test_mutated_films_are_read_or_refused_without_printing_their_values(recwarn: pytest.WarningsRecorder) -> None:
    random = np.random.default_rng(14)
    seeds = [
        film(BodyPartExamined="KNEE", PatientAge="063Y", PixelSpacing=[0.1, 0.1], VOILUTSequence=lut(0, [1, 2, 3], 8)),
        film(PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=7, **WINDOW),
        save(dataset(knee(), BITS, **WINDOW), uid.JPEG2000Lossless, LOSSLESS[uid.JPEG2000Lossless](knee())),
        save(dataset(knee(), BITS, **WINDOW), uid.JPEGLSLossless, LOSSLESS[uid.JPEGLSLossless](knee())),
        save(dataset(knee(), BITS, **WINDOW), uid.DeflatedExplicitVRLittleEndian),
    ]
    for _ in range(400):
        data = bytearray(seeds[random.integers(len(seeds))])
        for _ in range(random.integers(1, 5)):
            data[random.integers(132, min(len(data), 900))] = random.integers(256)
        with suppress(InputError):
            read(data)
    assert not [str(warning.message) for warning in recwarn if "Invalid value" in str(warning.message)]
