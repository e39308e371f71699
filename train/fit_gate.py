"""Train the gate's network: python train/fit_gate.py --films films.csv --knees oa_knees.csv ... --out weights/gate."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from gate import limits, network, sources
from gate.network import Fit
from osteolens.card import file_sha256
from osteolens.files import write_text
from osteolens.films.gate import CARD_FILE, NETWORK_FILE, SIDE, Gate, GateCard, Limit, coarse
from osteolens.films.sample import drawn_knee

DRAWINGS = 12


def main(
    films: Annotated[Path, typer.Option(help="Table of films with the columns file and group.")],
    knees: Annotated[Path, typer.Option(help="Table of knees with the columns file, person and split.")],
    chests: Annotated[Path, typer.Option(help="Folder of radiographs of something else; a half is fitted on.")],
    implants: Annotated[Path, typer.Option(help="Folder of knees with implants; a half is fitted on.")],
    others: Annotated[list[Path], typer.Option(help="Folder of pictures of anything; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for gate.onnx and gate.json.")] = Path("weights/gate"),
    steps: Annotated[
        int, typer.Option(help="Steps of training; 0 keeps the network, and only fits the numbers.")
    ] = 1000,
    size: Annotated[int, typer.Option(help="Pictures in a step.")] = 64,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
) -> None:
    """Train on the fitting parts, fit thresholds on parts of their own, and write both."""
    whole, single = sources.films(films), sources.arthritis_knees(knees)
    # The drawings that the project shows and tests with are to be answered, too.
    drawings = [coarse(drawn_knee(1280, 1024, seed)) for seed in range(DRAWINGS)]
    fit = Fit(
        films=[source.pixels for film in whole["fit"] for source in (film, film, *sources.legs(film))] + drawings,
        knees=[source.pixels for source in single["fit"]],
        others=[source.pixels for source in sources.pictures(others)],
        chests=[source.pixels for source in sources.halved(chests)["fit"]],
        implants=[source.pixels for source in sources.halved(implants)["fit"]],
    )
    counts = {name: len(pictures) for name, pictures in vars(fit).items()} | {"films": len(whole["fit"])}
    print(counts, f"at {SIDE} x {SIDE}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    if steps:
        started = time.process_time()
        network.graph(network.train(fit, steps=steps, size=size, seed=seed), str(out / NETWORK_FILE))
        print(f"{(time.process_time() - started) / 60:.1f} minutes of processor time")
    loose = Limit(warn=0, refuse=0)
    card = GateCard(
        network_sha256=file_sha256(out / NETWORK_FILE), thresholds={}, turned=0.5, min_side=128, dark=loose,
        bright=loose, contrast=loose, detail=loose,
        data=f"{counts['films']} films and the legs of those with two, {counts['knees']} knees of the Osteoarthritis "
        f"Initiative, {DRAWINGS} drawn knees, {counts['others']} pictures from packages, {counts['chests']} chest "
        f"films, {counts['implants']} knees with implants; drawn pictures, and defects drawn into knees; thresholds: "
        f"{len(whole['threshold'])} other films and {len(single['threshold'])} other knees",
    )  # fmt: skip
    _save(card, out)
    gate = Gate(out)
    apart = [source for film in whole["threshold"] for source in (film, *sources.legs(film))]
    alone = single["threshold"]
    scores = [limits.scores_of(gate, each) for each in (apart, limits.varied(apart, 10, seed), alone)]
    found, turned = limits.thresholds(*scores)
    good = limits.measurements([*whole["fit"], *whole["threshold"], *single["fit"], *single["threshold"]])
    fitted = card.model_copy(
        update={
            "thresholds": found, "turned": turned, "dark": limits.lower(good["high"]),
            "bright": limits.upper(good["median"]), "contrast": limits.lower(good["contrast"]),
            "detail": limits.lower(good["detail"]),
        }
    )  # fmt: skip
    _save(fitted, out)
    print(fitted.model_dump_json(indent=1))


def _save(card: GateCard, out: Path) -> None:
    write_text(out / CARD_FILE, json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    typer.run(main)
