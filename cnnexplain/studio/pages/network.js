// The network as a picture: its layers from left to right, with their first feature maps. Deep networks are shown as blocks.
import { element } from "./dom.js";
import { edges } from "./edges.js";
import { items, place } from "./layout.js";
import { drawMaps, drawValues } from "./maps.js";
import * as router from "./router.js";

const [MOST, VALUES, SIDE] = [12, 1024, 48];

export class NetworkView extends EventTarget {
  constructor(at, model) {
    super();
    this.model = model;
    this.opened = new Set(router.current().open);
    this.board = element("div", { class: "network", role: "list" });
    this.visible = new Set();
    this.observer = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "200px" });
    const head = element("div", { class: "heading" }, element("h2", {}, "Layers"));
    if (model.blocks.some(([, layers]) => layers.length > 1)) {
      head.append(
        element("button", { type: "button", onclick: () => this.openAll(true) }, "Open all blocks"),
        element("button", { type: "button", onclick: () => this.openAll(false) }, "Close all blocks"),
      );
    }
    at.append(head, element("div", { class: "scroll", tabindex: 0, "aria-label": "Layers, from input to output" }, this.board));
    this.resized = new ResizeObserver(() => this.drawEdges());
    this.arrange();
    this.resized.observe(this.board);
  }

  arrange() {
    this.observer.disconnect();
    this.visible.clear();
    this.shown = place(items(this.model, this.opened));
    this.cards = new Map();
    this.board.replaceChildren();
    for (const item of this.shown) {
      const card = this.card(item);
      card.box.style.gridColumn = item.column + 1;
      card.box.style.gridRow = item.lane + 1;
      this.cards.set(item.name, card);
      this.board.append(card.box);
      this.observer.observe(card.box);
    }
    this.drawEdges();
  }

  card(item) {
    const { layer } = item;
    const maps = element("div", { class: "maps", "aria-hidden": "true" });
    const collapsed = item.layers.length > 1;
    const link = element("a", { href: router.address({ layer: layer.name }), onclick: router.follow }, item.name);
    const kind = collapsed ? `${item.layers.length} layers` : layer.kind;
    const box = element(
      "article",
      { class: collapsed ? "layer block" : "layer", role: "listitem", "data-name": item.name },
      element("h3", {}, link),
      element("p", { class: "shape" }, `${kind} · ${layer.shape.join(" × ")}`),
      maps,
    );
    if (item.block) {
      const toggle = element("button", { type: "button", class: "toggle", "aria-expanded": String(!collapsed) });
      toggle.textContent = collapsed ? "Show layers" : `Close ${item.block}`;
      toggle.onclick = () => this.toggle(item.block);
      if (collapsed || this.model.blocks.find(([name]) => name === item.block)[1][0] === item.name) box.append(toggle);
    }
    return { box, maps, canvases: [], layer };
  }

  toggle(block) {
    if (!this.opened.delete(block)) this.opened.add(block);
    this.changed();
  }

  openAll(open) {
    this.opened = new Set(open ? this.model.blocks.filter(([, layers]) => layers.length > 1).map(([name]) => name) : []);
    this.changed();
  }

  changed() {
    router.replace({ open: [...this.opened] });
    this.arrange();
  }

  drawEdges() {
    this.board.querySelector(".edges")?.remove();
    const boxes = new Map([...this.cards].map(([name, card]) => [name, card.box]));
    this.board.prepend(edges(this.board, this.shown, boxes));
  }

  // Only the layers in sight are computed.
  seen(entries) {
    let more = false;
    for (const { target, isIntersecting } of entries) {
      const { name } = target.dataset;
      if (isIntersecting && !this.visible.has(name)) more = this.visible.add(name);
      else if (!isIntersecting) this.visible.delete(name);
    }
    if (more) this.dispatchEvent(new Event("change"));
  }

  wanted() {
    const layers = [...this.visible].map((name) => this.cards.get(name).layer);
    return Object.fromEntries(layers.map((layer) => [layer.name, { most: layer.maps ? MOST : VALUES, side: SIDE }]));
  }

  show(answer) {
    const cards = new Map([...this.cards.values()].map((card) => [card.layer.name, card]));
    let offset = 4 * answer.logits;
    for (const part of answer.layers) {
      // A layer may no longer be shown.
      const card = cards.get(part.name) || { maps: element("div"), canvases: [] };
      offset = (part.maps ? drawMaps : drawValues)(card, part, answer.data, offset);
    }
  }

  close() {
    this.observer.disconnect();
    this.resized.disconnect();
  }
}
