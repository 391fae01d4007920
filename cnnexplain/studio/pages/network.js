// The network as a picture: its layers from left to right, each with its first feature maps.
import { element } from "./dom.js";
import { LEVELS, paint, words } from "./palette.js";
import * as router from "./router.js";

const [MOST, SIDE] = [12, 48];

export class NetworkView extends EventTarget {
  constructor(place, model) {
    super();
    this.model = model;
    this.cards = new Map();
    const columns = arranged(model.layers);
    const board = element("div", { class: "network" });
    columns.forEach((layers) => {
      board.append(element("div", { class: "column" }, ...layers.map((layer) => this.card(layer))));
    });
    place.append(element("h2", {}, "Layers"), board);
  }

  card(layer) {
    const maps = element("div", { class: "maps", "aria-hidden": "true" });
    const name = element("a", { href: router.address({ layer: layer.name }), onclick: router.follow }, layer.name);
    const shape = element("p", { class: "shape" }, `${layer.kind} · ${layer.shape.join(" × ")}`);
    this.cards.set(layer.name, { layer, maps, canvases: [] });
    return element("article", { class: "layer" }, element("h3", {}, name), shape, maps);
  }

  wanted() {
    return Object.fromEntries(
      this.model.layers.map(({ name, maps }) => [name, { most: maps ? MOST : 1024, side: SIDE }]),
    );
  }

  show(answer) {
    let offset = 4 * answer.logits;
    for (const part of answer.layers) {
      const card = this.cards.get(part.name);
      offset = part.maps ? drawMaps(card, part, answer.data, offset) : drawValues(card, part, answer.data, offset);
    }
  }
}

// Draws feature maps at one scale; returns where the next layer begins.
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

// Draws values as squares, in rows.
export function drawValues({ maps, canvases }, part, data, offset) {
  // Bytes of maps before it may leave it unaligned.
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

// The columns of layers: each right of all layers whose outputs it takes.
export function arranged(layers) {
  const depth = new Map([["input", -1]]);
  const columns = [];
  for (const layer of layers) {
    const at = Math.max(-1, ...layer.sources.map((source) => depth.get(source) ?? -1)) + 1;
    depth.set(layer.name, at);
    (columns[at] ||= []).push(layer);
  }
  return columns;
}
