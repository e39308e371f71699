/** The films of a zip archive, unpacked in the browser: each is then sent by itself, under the rules for any other film. */

export const MOST_FILMS = 500;
export const MOST_BYTES = 2 ** 30;

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
const PASSED_OVER = /(^|\/)(\.(?!\.?\/)|__MACOSX\/|DICOMDIR$|Thumbs\.db$)/i;

/**
 * @param {File} file
 * @returns {boolean} told by the name; what is called .zip and is none is refused by `unpack`
 */
export function isArchive(file) {
  return /\.zip$/i.test(file.name);
}

/**
 * Files of an archive, without their folders' names. Their sizes are checked before anything is unpacked, and again as it is.
 *
 * @param {File} archive
 * @param {number} largest bytes of one film that the server takes
 * @returns {Promise<File[]>}
 * @throws {Error} it is damaged, encrypted or too large, or holds other archives; the message says what to do
 */
export async function unpack(archive, largest) {
  const entries = (await directory(archive)).filter(({ name }) => !name.endsWith("/") && !PASSED_OVER.test(name));
  if (!entries.length) throw new Error(gettext("the zip archive holds no files"));
  if (entries.length > MOST_FILMS) throw new Error(interpolate(gettext("the zip archive holds %(count)s files, at most %(most)s: make several"), { count: entries.length, most: MOST_FILMS }, true));
  if (entries.some(({ name }) => /\.zip$/i.test(name))) throw new Error(gettext("the zip archive holds another one: unpack it first"));
  if (entries.some(({ size }) => size > largest)) throw new Error(interpolate(gettext("a file in the zip archive is larger than %(size)s MB"), { size: largest / 1e6 }, true));
  if (entries.reduce((sum, { size }) => sum + size, 0) > MOST_BYTES) throw new Error(gettext("the zip archive unpacks to more than 1 GiB: make several"));
  const films = [];
  for (const entry of entries) films.push(await film(archive, entry));
  return films;
}

/**
 * @typedef {{name: string, method: number, packed: number, size: number, start: number}} Entry
 * @param {File} archive
 * @returns {Promise<Entry[]>} what the central directory lists (APPNOTE.TXT 4.3.12 and 4.3.16)
 */
async function directory(archive) {
  const tail = await bytes(archive, Math.max(0, archive.size - 65557), archive.size);
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END) end -= 1;
  if (end < 0) throw new Error(gettext("this is no zip archive, or its end is missing"));
  const start = tail.getUint32(end + 16, true);
  const view = await bytes(archive, start, start + tail.getUint32(end + 12, true));
  const entries = [];
  for (let at = 0; at + 46 <= view.byteLength && view.getUint32(at, true) === ENTRY; ) {
    const length = view.getUint16(at + 28, true);
    if (view.getUint16(at + 8, true) & ENCRYPTED) throw new Error(gettext("the zip archive has a password: unpack it first"));
    entries.push({
      name: new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, length)),
      method: view.getUint16(at + 10, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      start: view.getUint32(at + 42, true),
    });
    at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  if (entries.length !== tail.getUint16(end + 10, true)) throw new Error(gettext("the zip archive's list of files is damaged"));
  return entries;
}

/**
 * @param {File} archive
 * @param {Entry} entry
 * @returns {Promise<File>}
 */
async function film(archive, entry) {
  const name = entry.name.split(/[/\\]/).pop() || "film";
  const header = await bytes(archive, entry.start, entry.start + 30);
  const start = entry.start + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const packed = archive.slice(start, start + entry.packed);
  if (entry.method === STORED && entry.packed === entry.size) return new File([packed], name);
  if (entry.method !== DEFLATED) throw new Error(interpolate(gettext("%(name)s is packed in a way that is not read: unpack the archive first"), { name }, true));
  const reader = packed.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  let left = entry.size;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    left -= part.value.byteLength;
    if (left < 0) break; // more than the archive says: a bomb
    parts.push(part.value);
  }
  if (left !== 0) throw new Error(interpolate(gettext("%(name)s has another size than the zip archive says"), { name }, true));
  return new File(parts, name);
}

/**
 * @param {File} archive
 * @param {number} start
 * @param {number} end
 */
async function bytes(archive, start, end) {
  const buffer = await archive.slice(start, end).arrayBuffer();
  if (buffer.byteLength !== end - start) throw new Error(gettext("the zip archive is cut"));
  return new DataView(buffer);
}
