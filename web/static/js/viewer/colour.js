/**
 * The heat map's colours, as `osteolens.films.overlay.layer` gives them: colour from a table, alpha from the level. How strong
 * the map is goes into the canvas's opacity, see `Pane.shade`.
 *
 * @import { Colour, Levels } from "./data.js"
 */
import { context } from "./data.js";

/**
 * Draw a map at its own size; style sheet and opacity do the rest, so that a slider never draws.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Levels} map
 * @param {Colour[]} table 256 colours
 * @param {number} threshold 0 to 1: what is below this share of the maximum stays clear
 */
export function paint(canvas, map, table, threshold) {
  canvas.width = map.width;
  canvas.height = map.height;
  const pen = context(canvas);
  const picture = pen.createImageData(map.width, map.height);
  map.levels.forEach((level, i) => {
    const alpha = level < threshold * 255 ? 0 : level;
    picture.data.set([...table[level], alpha], 4 * i);
  });
  pen.putImageData(picture, 0, 0);
}

/**
 * Draw the table itself, dark at the bottom, without the transparency: a bar that can be read.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Colour[]} table 256 colours
 * @param {number} threshold 0 to 1
 */
export function paintBar(canvas, table, threshold) {
  canvas.width = 1;
  canvas.height = 256;
  const pen = context(canvas);
  const picture = pen.createImageData(1, 256);
  for (let level = 0; level < 256; level += 1) {
    const alpha = level < threshold * 255 ? 40 : 255;
    picture.data.set([...table[level], alpha], 4 * (255 - level));
  }
  pen.putImageData(picture, 0, 0);
}
