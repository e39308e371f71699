/**
 * Grey values of the film itself, deeper than the eight bits of its picture.
 *
 * @typedef {{name: string, centre: number, width: number}} Preset a window as DICOM PS3.3 C.11.2.1.2.1 defines it
 * @typedef {object} Values
 * @property {Uint16Array} stored one a pixel, row by row: the film's value is `offset + step * stored`
 * @property {number} width
 * @property {number} height
 * @property {number} offset
 * @property {number} step
 * @property {number} bits that the film has
 * @property {boolean} inverted low values are bright (MONOCHROME1)
 * @property {number | null} padding stored value of pixels that are no film, which stay black
 * @property {Preset[]} windows the one that the film is shown with at first, and others of its header
 */
import { context } from "./data.js";

const POSSIBLE = 2 ** 16;

/**
 * The film's values, in the server's file: length of the header (uint32), header (JSON), values (uint16), little-endian.
 *
 * @param {string} url
 * @returns {Promise<Values | null>} null for a film of eight bits, whose picture says it all
 */
export async function fetchValues(url) {
  const response = await fetch(url);
  if (response.status === 204) return null;
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const file = await response.arrayBuffer();
  const length = new DataView(file).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 4, length)));
  return { ...header, stored: new Uint16Array(file, 4 + length) };
}

/**
 * The eight bits of a film's picture in the same form.
 *
 * @param {HTMLImageElement} picture
 * @returns {Values}
 */
export function pictureValues(picture) {
  const { naturalWidth: width, naturalHeight: height } = picture;
  const pen = context(Object.assign(document.createElement("canvas"), { width, height }));
  pen.drawImage(picture, 0, 0);
  const pixels = pen.getImageData(0, 0, width, height).data;
  const stored = new Uint16Array(width * height).map((_, i) => pixels[4 * i]);
  const windows = [{ name: gettext("as it came"), centre: 128, width: 256 }];
  return { stored, width, height, offset: 0, step: 1, bits: 8, inverted: false, padding: null, windows };
}

/**
 * Presets: the film's own windows, all of its values, and bone, the brighter half of them without the topmost 0.5 %.
 *
 * @param {Values} values
 * @returns {Preset[]}
 */
export function presets(values) {
  const { stored, offset, step, padding, inverted } = values;
  const counts = new Uint32Array(POSSIBLE);
  for (const value of stored) counts[value] += 1;
  if (padding !== null) counts[padding] = 0;
  const all = counts.reduce((sum, count) => sum + count, 0);
  /** @type {(share: number) => number} lowest stored value that at least this share of the pixels do not exceed */
  const quantile = (share) => {
    let [value, sum] = [0, counts[0]];
    while (sum < share * all || sum === 0) sum += counts[(value += 1)];
    return value;
  };
  /** @type {(name: string, low: number, high: number) => Preset} black at one stored value, white at the other */
  const between = (name, low, high) => {
    return { name, centre: offset + (step * (low + high + 1)) / 2, width: step * (Math.max(1, high - low) + 1) };
  };
  const [dark, bright] = inverted ? [0.005, 0.5] : [0.5, 0.995];
  return [
    ...values.windows,
    between(gettext("full range"), quantile(0), quantile(1)),
    between(gettext("bone"), quantile(dark), quantile(bright)),
  ];
}

/**
 * Draw the film through a window.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Values} values
 * @param {{centre: number, width: number, inverted: boolean}} state
 */
export function draw(canvas, values, state) {
  const { stored, width, height, offset, step, padding } = values;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = context(canvas);
  const picture = pen.createImageData(width, height);
  const colours = new Uint32Array(picture.data.buffer);
  const table = new Uint32Array(POSSIBLE);
  const dark = state.inverted !== values.inverted;
  for (let value = 0; value < POSSIBLE; value += 1) {
    const share = (offset + step * value - (state.centre - step / 2)) / Math.max(state.width - step, step / 1e6) + 0.5;
    const grey = Math.round(255 * Math.min(1, Math.max(0, dark ? 1 - share : share)));
    table[value] = 0xff000000 | (grey * 0x10101);
  }
  if (padding !== null) table[padding] = 0xff000000;
  for (let i = 0; i < stored.length; i += 1) colours[i] = table[stored[i]];
  pen.putImageData(picture, 0, 0);
}
