/** Reasons to refuse a file before there is a network: what the server would refuse by its first bytes or its size alone. */

/** First bytes of the pictures that the server reads; DICOM has its mark further on. @type {number[][]} */
const PICTURES = [
  [0xff, 0xd8, 0xff],
  [0x89, 0x50, 0x4e, 0x47],
  [0x49, 0x49],
  [0x4d, 0x4d],
  [0x42, 0x4d],
  [0x52, 0x49, 0x46, 0x46],
];

/**
 * @param {File} file
 * @param {number} largest size in bytes; 0 without a limit
 * @returns {Promise<string>} why the server would refuse it; empty where it may take it
 */
export async function whyNot(file, largest) {
  if (!file.size) return gettext("the file is empty");
  const values = { size: Math.round(file.size / 1e6), most: largest / 1e6 };
  if (largest && file.size > largest) return interpolate(gettext("the file has %(size)s MB, more than %(most)s MB"), values, true);
  // Not every DICOM file begins as the standard says, and a telephone's HEIC is named by the server.
  if (/(\.dcm|\.dicom|\.hei[cf]|^[^.]*)$/i.test(file.name)) return "";
  const first = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  const isDicom = String.fromCharCode(...first.slice(128, 132)) === "DICM";
  if (isDicom || PICTURES.some((mark) => mark.every((byte, place) => first[place] === byte))) return "";
  return gettext("this is no picture that can be read: JPEG, PNG, TIFF, BMP, WebP or DICOM is expected");
}
