// The input: drawn, chosen, moved, rotated, scaled, erased, covered and made noisy, in pixels of the model's input.
import { element, oncePerFrame } from "./dom.js";
import * as router from "./router.js";

const TOOLS = {
  draw: ["Draw", "Draws in white, or in the chosen color."],
  erase: ["Erase", "Draws in the color of an empty image."],
  cover: ["Cover", "Covers pixels with gray, after all other changes."],
  move: ["Move", "Moves the image."],
};

const SLIDERS = {
  rotate: ["Rotate", -180, 180, 0, "°"],
  scale: ["Scale", 25, 400, 100, "%"],
  noise: ["Noise", 0, 100, 0, "%"],
};

export class Editor extends EventTarget {
  constructor(place, model) {
    super();
    this.model = model;
    [this.height, this.width, this.channels] = model.input.shape;
    this.canvas = layer(this.width, this.height);
    this.canvas.className = "sheet";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("aria-label", "The input. With a pointer you draw on it; arrow keys move it.");
    this.base = layer(this.width, this.height);
    this.cover = layer(this.width, this.height);
    this.tool = model.input.digits ? "draw" : "cover";
    this.brush = Math.max(1, Math.round(Math.min(this.width, this.height) / 12));
    this.reset();
    this.repaint = oncePerFrame(() => {
      this.paint();
      this.dispatchEvent(new Event("change"));
    });
    place.append(
      this.canvas,
      this.tools(),
      this.sliders(),
      this.sources(),
      (this.problem = element("p", { class: "problem", role: "alert" })),
    );
    this.listen();
    this.clear();
  }

  reset() {
    this.place = { x: 0, y: 0, rotate: 0, scale: 100, noise: 0 };
  }

  tools() {
    const radios = Object.entries(TOOLS).map(([name, [label, title]]) =>
      element(
        "label",
        { title },
        element("input", {
          type: "radio",
          name: "tool",
          value: name,
          checked: name === this.tool,
          onchange: () => {
            this.tool = name;
          },
        }),
        label,
      ),
    );
    const size = element("input", {
      type: "range",
      min: 1,
      max: Math.round(Math.min(this.width, this.height) / 3),
      value: this.brush,
      "aria-label": "Brush size in pixels",
      oninput: (event) => {
        this.brush = Number(event.target.value);
      },
    });
    const color = this.channels === 3 && element("input", { type: "color", value: "#ffffff", "aria-label": "Brush color" });
    this.color = color || { value: "#ffffff" };
    return element(
      "fieldset",
      { class: "tools" },
      element("legend", {}, "Tool"),
      ...radios,
      element("label", {}, "Brush ", size),
      ...(color ? [color] : []),
    );
  }

  sliders() {
    this.ranges = {};
    const rows = Object.entries(SLIDERS).map(([name, [label, min, max, value, unit]]) => {
      const shown = element("output", {}, `${value}${unit}`);
      const range = element("input", { type: "range", min, max, value, "aria-label": label });
      range.oninput = () => {
        this.place[name] = Number(range.value);
        shown.textContent = `${range.value}${unit}`;
        this.repaint();
        this.#entry = false;
      };
      this.ranges[name] = { range, shown, value, unit };
      return element("label", {}, element("span", {}, label), range, shown);
    });
    return element("div", { class: "sliders" }, ...rows);
  }

  sources() {
    const file = element("input", { type: "file", accept: "image/*", hidden: true });
    file.onchange = () => file.files[0] && this.upload(file.files[0]);
    const samples = element("select", { "aria-label": "Samples" }, element("option", { value: "" }, "Samples"));
    samples.append(...this.model.samples.map((name, index) => element("option", { value: index }, name)));
    samples.onchange = () => samples.value !== "" && this.fetched(`/samples/${samples.value}`);
    return element(
      "p",
      { class: "sources" },
      element("button", { type: "button", onclick: () => this.clear() }, "Clear"),
      element("button", { type: "button", onclick: () => file.click() }, "Open …"),
      file,
      ...(this.model.samples.length ? [samples] : []),
    );
  }

  listen() {
    let last = null;
    this.canvas.onpointerdown = (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      last = this.under(event);
      this.stroke(last, last);
    };
    this.canvas.onpointermove = (event) => {
      if (!last) return;
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const each of passed.length ? passed : [event]) {
        const here = this.under(each);
        this.stroke(last, here);
        last = here;
      }
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = () => {
      last = null;
    };
    this.canvas.onkeydown = (event) => {
      const step = event.shiftKey ? 5 : 1;
      const move = { ArrowUp: [0, -step], ArrowDown: [0, step], ArrowLeft: [-step, 0], ArrowRight: [step, 0] }[event.key];
      if (!move) return;
      event.preventDefault();
      this.place.x += move[0];
      this.place.y += move[1];
      this.repaint();
    };
    const page = document.documentElement;
    page.addEventListener("dragover", (event) => event.preventDefault());
    page.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.upload(event.dataTransfer.files[0]);
    });
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.width, ((event.clientY - box.top) / box.height) * this.height];
  }

  stroke([fromX, fromY], [toX, toY]) {
    if (this.tool === "move") {
      this.place.x += toX - fromX;
      this.place.y += toY - fromY;
    } else {
      const context = (this.tool === "cover" ? this.cover : this.base).getContext("2d");
      context.save();
      // A stroke on the image follows what is seen of it.
      if (this.tool !== "cover") context.setTransform(this.transform().inverse());
      context.lineCap = context.lineJoin = "round";
      // The brush has the same size on the screen, however the image is scaled.
      context.lineWidth = this.brush;
      context.strokeStyle = { draw: this.color.value, erase: this.background(), cover: "#808080" }[this.tool];
      context.beginPath();
      context.moveTo(fromX, fromY);
      context.lineTo(toX + 0.01, toY);
      context.stroke();
      context.restore();
    }
    this.repaint();
  }

  transform() {
    const { x, y, rotate, scale } = this.place;
    const [middleX, middleY] = [this.width / 2, this.height / 2];
    return new DOMMatrix()
      .translate(middleX + x, middleY + y)
      .rotate(rotate)
      .scale(scale / 100)
      .translate(-middleX, -middleY);
  }

  background() {
    const [red, green, blue] = this.model.input.background;
    return `rgb(${red}, ${green ?? red}, ${blue ?? red})`;
  }

  paint() {
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.background();
    context.fillRect(0, 0, this.width, this.height);
    context.setTransform(this.transform());
    context.drawImage(this.base, 0, 0);
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.place.noise) this.addNoise(context);
    context.drawImage(this.cover, 0, 0);
  }

  // The same noise at every repaint, so that only its strength changes.
  addNoise(context) {
    const picture = context.getImageData(0, 0, this.width, this.height);
    let state = 1;
    for (let index = 0; index < picture.data.length; index++) {
      if (index % 4 === 3 || (this.channels === 1 && index % 4)) continue;
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const value = picture.data[index] + 2.55 * this.place.noise * (state / 2 ** 31 - 1);
      picture.data[index] = value;
      if (this.channels === 1) picture.data[index + 1] = picture.data[index + 2] = picture.data[index];
    }
    context.putImageData(picture, 0, 0);
  }

  // The pixels as bytes, row by row: gray, or red, green and blue.
  pixels() {
    const { data } = this.canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, this.width, this.height);
    const pixels = new Uint8Array(this.height * this.width * this.channels);
    for (let index = 0; index < this.height * this.width; index++) {
      for (let channel = 0; channel < this.channels; channel++) {
        pixels[index * this.channels + channel] = data[4 * index + channel];
      }
    }
    return pixels;
  }

  #entry = false;

  // The server's name of the current pixels, for the address.
  named(name) {
    router.input(name, { entry: this.#entry });
    this.#entry = false;
  }

  // Shows the input with a name; an empty image without one.
  async open(name) {
    if (name) await this.shown(`/inputs/${encodeURIComponent(name)}`);
    else if (this.model.samples.length) await this.fetched("/samples/0");
  }

  async upload(file) {
    await this.fetched("/inputs", { method: "POST", body: file });
  }

  // Shows the input that the server prepares.
  async fetched(address, options = {}) {
    const answer = await (await fetch(address, options)).json();
    this.problem.textContent = answer.error || "";
    if (answer.error) return;
    this.#entry = true;
    await this.shown(`/inputs/${answer.input}`);
  }

  async shown(address) {
    const image = new Image();
    image.src = address;
    try {
      await image.decode();
    } catch {
      this.problem.textContent = "This input is no longer kept; choose or draw it again.";
      return;
    }
    this.erase();
    this.base.getContext("2d").drawImage(image, 0, 0);
    this.repaint();
  }

  clear() {
    this.problem.textContent = "";
    this.erase();
    this.repaint();
  }

  erase() {
    this.reset();
    for (const [, { range, shown, value, unit }] of Object.entries(this.ranges)) {
      range.value = value;
      shown.textContent = `${value}${unit}`;
    }
    const context = this.base.getContext("2d");
    context.fillStyle = this.background();
    context.fillRect(0, 0, this.width, this.height);
    this.cover.getContext("2d").clearRect(0, 0, this.width, this.height);
    this.paint();
  }
}

function layer(width, height) {
  return element("canvas", { width, height });
}
