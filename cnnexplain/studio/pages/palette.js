// Colors of maps, with the tables of the report.

export const LEVELS = 255;
let tables = null;

const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export function use(palettes) {
  tables = { signed: bytes(palettes.signed.bar), unsigned: bytes(palettes.unsigned.bar) };
}

// Paints a map of levels between its lowest and highest value. Zero has the middle color of a signed map, and the first of
// others; `limit` has the last.
export function paint(canvas, levels, rows, columns, { low, high, limit, signed }) {
  canvas.width = columns;
  canvas.height = rows;
  const colors = signed ? tables.signed : tables.unsigned;
  // The color of each level.
  const table = new Uint32Array(LEVELS + 1);
  const color = new Uint8Array(table.buffer);
  for (let level = 0; level <= LEVELS; level++) {
    const value = low + ((high - low) * level) / LEVELS;
    const share = limit === 0 ? (signed ? 0.5 : 0) : signed ? 0.5 + value / (2 * limit) : value / limit;
    const from = 3 * Math.max(0, Math.min(255, Math.floor(256 * share)));
    color.set([colors[from], colors[from + 1], colors[from + 2], 255], 4 * level);
  }
  const picture = new ImageData(columns, rows);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let index = 0; index < pixels.length; index++) pixels[index] = table[levels[index]];
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Four significant digits, with a minus sign.
export function words(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value);
  if (size === 0) return "0";
  const text = size < 1e-3 || size >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replaceAll("-", "−");
}
