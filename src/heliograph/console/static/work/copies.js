// @ts-check
/** Small copies of pictures, made one after the other off the main thread, so that 500 photographs fit into memory. */

const SIDE = 480;
const QUALITY = 0.85;
/** Answers do not wait for the copies of 500 questions. @type {Record<"question" | "answer", Promise<unknown>>} */
const lanes = { question: Promise.resolve(), answer: Promise.resolve() };

/** An object URL of a small copy, and the picture's own size; null where the browser cannot read it. @param {Blob} blob @param {"question" | "answer"} lane @returns {Promise<{address: string, size: [number, number]} | null>} */
export function smallCopy(blob, lane) {
  const made = lanes[lane].then(() => make(blob)).catch(() => null);
  lanes[lane] = made;
  return made;
}

/** @param {Blob} blob @returns {Promise<{address: string, size: [number, number]}>} */
async function make(blob) {
  const whole = await createImageBitmap(blob);
  try {
    const { width, height } = whole;
    const scale = Math.min(1, SIDE / Math.max(width, height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.imageSmoothingQuality = "medium";
    context.drawImage(whole, 0, 0, canvas.width, canvas.height);
    const copy = await canvas.convertToBlob({ type: "image/webp", quality: QUALITY });
    return { address: URL.createObjectURL(copy), size: [width, height] };
  } finally {
    whole.close();
  }
}

/** A cut-out on a colour, or as it is. @param {Blob} picture @param {string} colour "" for none @returns {Promise<Blob>} */
export async function onColour(picture, colour) {
  if (!colour) return picture;
  const whole = await createImageBitmap(picture);
  try {
    const canvas = new OffscreenCanvas(whole.width, whole.height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.fillStyle = colour;
    context.fillRect(0, 0, whole.width, whole.height);
    context.drawImage(whole, 0, 0);
    return await canvas.convertToBlob({ type: "image/png" });
  } finally {
    whole.close();
  }
}
