// All feature maps of one layer.
import { element } from "./dom.js";
import { drawMaps, drawValues } from "./maps.js";
import * as router from "./router.js";

export class LayerView extends EventTarget {
  constructor(place, model, name) {
    super();
    this.layer = model.layers.find((each) => each.name === name);
    const { kind, shape, parameters } = this.layer;
    this.card = { maps: element("div", { class: "maps all" }), canvases: [] };
    place.append(
      element("p", {}, element("a", { href: router.address({ layer: "" }), onclick: router.follow }, "← All layers")),
      element("h2", {}, name),
      element("p", { class: "shape" }, `${kind} · ${shape.join(" × ")} · ${parameters.toLocaleString("en")} parameters`),
      this.card.maps,
    );
  }

  wanted() {
    return { [this.layer.name]: { most: 4096, side: 112 } };
  }

  show(answer) {
    const [part] = answer.layers;
    if (part.name !== this.layer.name) return;
    (part.maps ? drawMaps : drawValues)(this.card, part, answer.data, 4 * answer.logits);
  }

  close() {}
}
