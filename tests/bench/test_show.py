from pathlib import Path

import pytest
from PIL import Image
from rich.cells import cell_len

from bench.made_up import PARITY, PROCESS, case, measurement, results, traffic
from osteolens.bench.chart import draw
from osteolens.bench.compare import show
from osteolens.bench.show import markdown, panels, tables, wide_console

FIVE = [1, 1, 1, 1, 1]
RESULTS = results(
    measurement([40 * value for value in FIVE], process=PROCESS),
    measurement([50 * value for value in FIVE], case(heat_map="grad-cam")),
    measurement([10 * value for value in FIVE], case("onnx-fp32", heat_map="closed form"), parity=PARITY),
    measurement([30 * value for value in FIVE], case("onnx-fp32", scope="bytes", threads=2)),
)


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the Markdown tables by their first one."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {line[0]: line[1:] for line in lines}


def test_panels_hold_what_may_be_set_side_by_side_the_fastest_first() -> None:
    assert {name: [measurement.case.label for measurement in group] for name, group in panels(RESULTS).items()} == {
        "knee, array to outputs, 1 thread": ["onnx-fp32 + closed form", "eager", "eager + grad-cam"],
        "knee, file to JSON, 2 threads": ["onnx-fp32"],
    }


def test_markdown_says_what_a_reader_needs() -> None:
    text = markdown(RESULTS)
    for part in (
        "Abacus 1, 2 cores (avx2)",
        "torch 2",
        "random order",
        "    osteolens bench\n",
        "onnx-int8 is left out",
    ):
        assert part in text
    table = rows(text)
    assert table["onnx-fp32 + closed form"][:5] == ["10.00", "10.00", "10.00", "100.0", "5.00 (5.00 to 5.00)"]
    assert table["onnx-fp32 + closed form"][5:7] == ["2e-01", "5e-01"]
    assert table["eager, threads: 1"] == ["1.50", "0.25", "40", "300", "0.00"]
    assert "Take care" not in text
    assert "**Take care:** the machine was busy" in markdown(RESULTS.model_copy(update={"load_before": 9.0}))


def test_a_heat_map_is_set_against_grad_cam_and_none_against_none() -> None:
    """Eager without a heat map takes 40 ms, with grad-cam 50 ms."""
    plain = measurement([10.0] * 5, case("eager-channels-last"))
    run = RESULTS.runs[0].model_copy(update={"measurements": (*RESULTS.measurements, plain)})
    table = rows(markdown(RESULTS.model_copy(update={"runs": (run,)})))
    assert table["eager-channels-last"][4].startswith("4.00")
    assert table["onnx-fp32 + closed form"][4].startswith("5.00")


def test_chart(tmp_path: Path) -> None:
    draw(RESULTS, tmp_path / "bench.png")
    with Image.open(tmp_path / "bench.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(picture.width * picture.height) or []}
    assert (0xD5, 0x5E, 0x00) in colours  # a bar of ONNX
    assert (0x8C, 0x8C, 0x8C) in colours  # and one of eager with its heat map


WIDE = results(
    *(
        measurement(
            [1234.5 * value for value in range(1, 8)],
            case(backend, heat_map=heat_map, threads=16),
            parity=PARITY.model_copy(update={"heat_map": 0.001}),
            process=PROCESS.model_copy(update={"pss_mib": 12345}),
        )
        for backend, heat_map in [
            ("eager", "grad-cam"), ("eager-channels-last", "closed form"), ("torch-compile", "closed form"),
        ]
    ),
    measurement(
        [10, 20, 30, 40, 50],
        case("server", scope="http", heat_map="heat map", threads=None, concurrency=32),
        traffic=traffic({200: 123456, 429: 33, 503: 1234}).model_copy(update={"failures": {"ConnectionResetError": 7}}),
    ),
)  # fmt: skip
NAMES = (
    "eager-channels-last + closed form", "torch-compile + closed form", "server, 32 at a time + heat map",
    "eager-channels-last, threads: 16", "faster than eager", "probability", "first call ms", "peak RSS MiB",
    "idle CPU %", "200: 123456, 429: 33, 503: 1234, ConnectionResetError: 7",
)  # fmt: skip


def joined(printed: str) -> str:
    """Printed tables with the texts that were folded put together again, without spaces and frames."""
    return "".join(letter for letter in printed if not letter.isspace() and letter not in "│┃")


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_tables_fit_the_terminal_and_lose_no_name(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    console = wide_console()
    with console.capture() as capture:
        for table in tables(WIDE, console.width):
            console.print(table)
    printed = capture.get()
    assert max(map(cell_len, printed.splitlines())) <= columns
    assert "…" not in printed
    for name in NAMES:
        assert name.replace(" ", "") in joined(printed), name
    # 4938 ms is the median of 1 to 7 times 1234.5, to be seen beside each of three backends.
    assert printed.count("4938.00") == 3


def test_a_comparison_fits_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    later = [item.model_copy(update={"run_id": "run-2"}) for item in WIDE.measurements]
    show(WIDE, results(*later, run={"id": "run-2"}))
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1] in "│┃┏┡├└"]
    assert max(map(cell_len, lines)) <= 80
    printed = joined("".join(lines))
    for name in ("eager-channels-last+closedform", "newlessold", "excludeszero", "server,32atatime+heatmap"):
        assert name in printed
    assert "…" not in printed
