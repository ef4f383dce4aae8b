// @ts-check
/** Files in a zip archive, stored as they are: pictures are compressed already. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});
const UTF8_NAMES = 0x0800;

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let value = 0xffffffff;
  for (let index = 0; index < bytes.length; index++) value = TABLE[(value ^ bytes[index]) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** @param {number[]} fields pairs of value and its bytes */
function record(...fields) {
  let length = 0;
  for (let index = 1; index < fields.length; index += 2) length += fields[index];
  const view = new DataView(new ArrayBuffer(length));
  let at = 0;
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index + 1] === 2) view.setUint16(at, fields[index], true);
    else view.setUint32(at, fields[index], true);
    at += fields[index + 1];
  }
  return view.buffer;
}

/** The archive; no more than one file at a time is in memory. @param {AsyncIterable<{name: string, data: Blob}>} files @returns {Promise<Blob>} */
export async function zip(files) {
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {BlobPart[]} */
  const directory = [];
  let offset = 0;
  let count = 0;
  for await (const { name, data } of files) {
    const title = new TextEncoder().encode(name);
    const crc = crc32(new Uint8Array(await data.arrayBuffer()));
    // Version 2.0, stored; the first day that the format knows.
    const about = [20, 2, UTF8_NAMES, 2, 0, 2, 0, 2, 33, 2, crc, 4, data.size, 4, data.size, 4, title.length, 2, 0, 2];
    parts.push(record(0x04034b50, 4, ...about), title, data);
    directory.push(record(0x02014b50, 4, 20, 2, ...about, 0, 2, 0, 2, 0, 2, 0, 4, offset, 4), title);
    offset += 30 + title.length + data.size;
    count++;
  }
  const size = new Blob(directory).size;
  const end = record(0x06054b50, 4, 0, 2, 0, 2, count, 2, count, 2, size, 4, offset, 4, 0, 2);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
