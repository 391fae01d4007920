// Draws the outputs of a layer from a message of live.py. Each function returns where the bytes of the next layer begin.
import { element } from "./dom.js";
import { LEVELS, paint, words } from "./palette.js";

// Feature maps, all at one scale.
export function drawMaps({ maps, canvases }, part, data, offset) {
  const signed = Math.min(...part.low) < 0;
  const limit = Math.max(...part.high.map(Math.abs), ...part.low.map(Math.abs));
  const size = part.rows * part.columns;
  part.low.forEach((low, index) => {
    if (!canvases[index]) {
      canvases[index] = element("canvas", { class: "map" });
      maps.append(canvases[index]);
    }
    const levels = new Uint8Array(data, offset, size);
    paint(canvases[index], levels, part.rows, part.columns, { low, high: part.high[index], limit, signed });
    canvases[index].title = `Map ${index}: ${words(low)} to ${words(part.high[index])}`;
    offset += size;
  });
  return offset;
}

// Values without places, as squares in rows.
export function drawValues({ maps, canvases }, part, data, offset) {
  // The bytes of maps before them may leave them unaligned.
  const values = new Float32Array(data.slice(offset, offset + 4 * part.values));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const columns = Math.min(values.length, Math.max(10, Math.ceil(Math.sqrt(values.length))));
  const rows = Math.ceil(values.length / columns);
  const levels = new Uint8Array(rows * columns);
  values.forEach((value, index) => {
    levels[index] = high > low ? Math.round((LEVELS * (value - low)) / (high - low)) : 0;
  });
  if (!canvases.length) {
    canvases.push(element("canvas", { class: "values" }));
    maps.append(canvases[0]);
  }
  paint(canvases[0], levels, rows, columns, { low, high, limit: Math.max(Math.abs(low), Math.abs(high)), signed: low < 0 });
  return offset + 4 * part.values;
}
