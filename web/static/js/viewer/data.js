/**
 * What the film's page hands to the viewer, and how its maps are read.
 *
 * @typedef {[number, number, number]} Colour red, green, blue: 0 to 255
 * @typedef {{url: string, peak: number, strength: number | null, strengthWords: string}} MapFile a grey PNG over the whole
 *   film; 255 in it is `peak`, which is `strength` (0 to 1) of what is usual, if that is known
 * @typedef {{label: string, probability: number, map: MapFile | null}} Class
 * @typedef {{name: string, box: [number, number, number, number], maps: Record<string, MapFile>}} Knee its box is left, top,
 *   right and bottom in pixels of the film; without maps of its own, the film's are shown
 * @typedef {{model: string, version: string, label: string, classes: Class[], knees?: Knee[]}} Reading
 * @typedef {object} Film
 * @property {string} [id] none in a review, which is blind
 * @property {string} url
 * @property {number} width pixels
 * @property {number} height
 * @property {string} title
 * @property {string | null} [valuesUrl] of its own values, where it may be deeper than eight bits
 * @property {[number, number] | null} [spacing] millimetres between rows and between columns, where known
 * @typedef {{film: Film, colourMaps: Record<string, string>, models: Reading[], labels: string[]}} ViewerData
 * @typedef {{levels: Uint8ClampedArray, width: number, height: number}} Levels one byte a pixel, 255 at the maximum
 */

/**
 * The JSON of a data block that Django's `json_script` wrote.
 *
 * @param {string} id of the script element
 * @returns {any}
 */
export function dataBlock(id) {
  const block = document.getElementById(id);
  if (!block) throw new Error(`the page has no data block "${id}"`);
  return JSON.parse(block.textContent ?? "");
}

/**
 * @param {string} digits six hexadecimal ones for each colour
 * @returns {Colour[]}
 */
export function colourTable(digits) {
  const parts = (digits.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
  return Array.from({ length: parts.length / 3 }, (_, i) => [parts[3 * i], parts[3 * i + 1], parts[3 * i + 2]]);
}

/** @type {Map<string, Promise<Levels>>} */
const read = new Map();

/**
 * The levels of a map; each file is fetched and decoded once.
 *
 * @param {string} url of the grey PNG
 * @returns {Promise<Levels>} fails where the picture cannot be had
 */
export function mapLevels(url) {
  let levels = read.get(url);
  if (!levels) {
    levels = decode(url);
    read.set(url, levels);
    levels.catch(() => read.delete(url));
  }
  return levels;
}

/** @param {string} url */
async function decode(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const pen = context(Object.assign(document.createElement("canvas"), { width, height }));
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, width, height).data;
  const levels = new Uint8ClampedArray(width * height);
  for (let i = 0; i < levels.length; i += 1) levels[i] = pixels[4 * i];
  return { levels, width, height };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function context(canvas) {
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) throw new Error("this browser gives no canvas to draw the heat map on");
  return pen;
}
