// The outputs of the model as bars, with the change since the last input.
import { element } from "./dom.js";
import { words } from "./palette.js";

const MOST = 10;

export class Bars {
  #last = null;

  constructor(place, model) {
    this.model = model;
    this.list = element("ol", { class: "bars" });
    const longest = Math.max(...model.labels.map((label) => label.length));
    this.list.style.setProperty("--names", `${Math.min(7, 0.6 * longest + 0.6)}rem`);
    place.append(element("h2", {}, model.head === "values" ? "Outputs" : "Probabilities"), this.list);
  }

  show({ outputs }) {
    const { labels, head, unit } = this.model;
    const few = outputs.length <= MOST;
    const order = outputs.map((_, index) => index);
    // The classes of a model with few keep their places, so that changes can be followed.
    if (!few) order.sort((first, second) => outputs[second] - outputs[first]);
    const largest = head === "values" ? Math.max(...outputs.map(Math.abs)) || 1 : 1;
    const best = outputs.indexOf(Math.max(...outputs));
    const last = this.#last || outputs;
    this.list.replaceChildren(
      ...order.slice(0, MOST).map((index) => {
        const [value, change] = [outputs[index], outputs[index] - last[index]];
        const text = head === "values" ? `${words(value)} ${unit}`.trim() : percent(value);
        const bar = element("span", { class: "track", "aria-hidden": "true" });
        const fill = element("span", { class: "fill" });
        fill.style.width = `${(100 * Math.abs(value)) / largest}%`;
        const before = element("span", { class: "before" });
        before.style.left = `${(100 * Math.abs(last[index])) / largest}%`;
        bar.append(fill, before);
        return element(
          "li",
          { class: index === best && head !== "values" ? "best" : "" },
          element("span", { class: "label" }, labels[index]),
          bar,
          element("span", { class: "amount" }, text),
          element("span", { class: "change" }, changed(change, head)),
        );
      }),
    );
    this.#last = outputs;
  }
}

function percent(value) {
  return value > 0.999 && value < 1 ? "> 99.9%" : value > 0 && value < 0.001 ? "< 0.1%" : `${(100 * value).toFixed(1)}%`;
}

function changed(change, head) {
  const size = head === "values" ? Math.abs(change) : Math.round(1000 * Math.abs(change)) / 10;
  if (!size) return "";
  const text = head === "values" ? words(Math.abs(change)) : size.toFixed(1);
  return `${change > 0 ? "▲" : "▼"} ${text}`;
}
