"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const palettes = JSON.parse(document.getElementById("palettes").textContent);
  const colors = {};
  for (const kind of ["unsigned", "signed"]) {
    colors[kind] = { bar: bytes(palettes[kind].bar), over: bytes(palettes[kind].over) };
  }

  // Four significant digits, or fewer if the step is larger.
  function words(value, step = 0) {
    const size = Math.abs(value);
    if (size === 0) return "0";
    const known = step === 0 ? 4 : Math.floor(Math.log10(size)) - Math.ceil(Math.log10(step)) + 1;
    const digits = Math.max(1, Math.min(4, known));
    const text = size < 1e-3 || size >= 1e5 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
    return text.replaceAll("-", "−");
  }

  // Decodes a map from packed_maps.py.
  async function unpacked(map, height, width) {
    const deflated = new Blob([bytes(map.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(deflated).arrayBuffer());
    const count = height * width;
    // Sums of differences wrap around at 2⁸ or 2¹⁶.
    const whole = planes.length === count
      ? planes
      : Uint16Array.from({ length: count }, (_, index) => planes[index] + 256 * planes[count + index]);
    if (map.differences) {
      for (let index = width; index < count; index++) whole[index] += whole[index - width];
      for (let index = 0; index < count; index++) if (index % width) whole[index] += whole[index - 1];
    }
    return Float64Array.from(whole, (number) => map.low + map.step * number);
  }

  // A map for display only: interpolates between the centers of blocks of pixels, whose means it contains.
  async function readable(map, height, width) {
    const [rows, columns] = [Math.ceil(height / map.block), Math.ceil(width / map.block)];
    const means = await unpacked(map, rows, columns);
    if (map.block === 1) return means;
    const along = (pixel, count) => {
      const place = Math.min(Math.max((pixel + 0.5) / map.block - 0.5, 0), count - 1);
      const first = Math.min(Math.floor(place), Math.max(count - 2, 0));
      return [first, Math.min(first + 1, count - 1), place - first];
    };
    return Float64Array.from({ length: height * width }, (_, index) => {
      const [top, bottom, down] = along(Math.floor(index / width), rows);
      const [left, right, across] = along(index % width, columns);
      const row = (at) => means[at * columns + left] * (1 - across) + means[at * columns + right] * across;
      return row(top) * (1 - down) + row(bottom) * down;
    });
  }

  function largest(values) {
    let found = 0;
    for (const value of values) found = Math.max(found, Math.abs(value));
    return found;
  }

  function pixelsOf(image, width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  }

  // The position of a value in its colormap: zero is the middle of a signed colormap, and the start of others.
  function place(value, map) {
    const share = map.signed ? 0.5 + value / (2 * map.limit) : value / map.limit;
    return Math.max(0, Math.min(255, Math.floor(256 * share)));
  }

  // Blends from the image, via the overlay colormap with its opacities, to the colors of the bar.
  function paint(map, image, blend) {
    const context = map.canvas.getContext("2d");
    const picture = context.createImageData(map.canvas.width, map.canvas.height);
    const { bar, over } = map.signed ? colors.signed : colors.unsigned;
    const rest = Math.max(0, 2 * blend - 1);
    map.shown.forEach((value, index) => {
      const from = place(value, map);
      const own = over[4 * from + 3] / 255;
      const opacity = rest ? own + rest * (1 - own) : 2 * blend * own;
      for (let channel = 0; channel < 3; channel++) {
        const color = (1 - rest) * over[4 * from + channel] + rest * bar[3 * from + channel];
        picture.data[4 * index + channel] = opacity * color + (1 - opacity) * image[4 * index + channel];
      }
      picture.data[4 * index + 3] = 255;
    });
    context.putImageData(picture, 0, 0);
  }

  function paintBar(map) {
    const context = map.bar.getContext("2d");
    const picture = context.createImageData(256, 1);
    const table = (map.signed ? colors.signed : colors.unsigned).bar;
    for (let index = 0; index < 256; index++) {
      picture.data.set([table[3 * index], table[3 * index + 1], table[3 * index + 2], 255], 4 * index);
    }
    context.putImageData(picture, 0, 0);
    // As in the pictures, a few extreme pixels may be clipped.
    const beyond = largest(map.shown) > map.limit * (1 + 1e-6);
    map.figure.querySelector(".low").textContent = map.signed ? (beyond ? "≤ " : "") + words(-map.limit) : "0";
    map.figure.querySelector(".high").textContent = (beyond ? "≥ " : "") + words(map.limit);
  }

  async function start(group) {
    const height = Number(group.dataset.height);
    const width = Number(group.dataset.width);
    const source = group.closest(".image").querySelector(".seen img");
    await source.decode();
    const image = pixelsOf(source, width, height);
    const figures = group.querySelectorAll(".map");
    const readout = group.querySelector(".readout");
    const blend = group.querySelector(".blend");
    const smooth = group.querySelector(".smooth");
    const packed = JSON.parse(group.querySelector(".data").textContent);
    const unpacking = await Promise.all(packed.map((data) => unpacked(data, height, width)));
    const painted = await Promise.all(packed.map((data) => (data.painted ? readable(data.painted, height, width) : null)));
    const maps = packed.map((data, index) => {
      const figure = figures[index];
      const numbers = unpacking[index];
      const canvas = figure.querySelector(".stage canvas");
      canvas.width = width;
      canvas.height = height;
      return { ...data, figure, numbers, readable: painted[index], canvas, bar: figure.querySelector(".bar"), raw: data.limit };
    });
    let row = Math.floor(height / 2);
    let column = Math.floor(width / 2);

    function repaint() {
      for (const map of maps) paint(map, image, blend.value / 100);
    }

    function rescale() {
      for (const map of maps) {
        const readable = map.readable && smooth && smooth.checked;
        map.shown = readable ? map.readable : map.numbers;
        map.own = readable ? map.painted.limit : map.raw;
      }
      const shared = group.querySelector(".scale:checked").value === "shared";
      for (const map of maps) {
        const alike = shared ? maps.filter((other) => other.unit === map.unit) : [map];
        map.limit = Math.max(...alike.map((other) => other.own));
        paintBar(map);
      }
      repaint();
    }

    function point(at) {
      for (const map of maps) {
        const value = map.numbers[row * width + column];
        map.figure.querySelector(".value").textContent = words(value, map.step);
        const cursor = map.figure.querySelector(".cursor");
        cursor.hidden = false;
        cursor.style.left = `${(100 * column) / width}%`;
        cursor.style.top = `${(100 * row) / height}%`;
        cursor.style.width = `${100 / width}%`;
        cursor.style.height = `${100 / height}%`;
      }
      const value = at.numbers[row * width + column];
      const name = at.name === at.analysis ? at.analysis : `${at.analysis}, ${at.name.replaceAll("_", " ")}`;
      readout.textContent = `${name}: ${words(value, at.step)} ${at.unit} at row ${row}, column ${column}`;
    }

    for (const map of maps) {
      const under = (event) => {
        const box = map.canvas.getBoundingClientRect();
        const within = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value * count)));
        column = within((event.clientX - box.left) / box.width, width);
        row = within((event.clientY - box.top) / box.height, height);
        point(map);
      };
      map.canvas.addEventListener("pointermove", under);
      map.canvas.addEventListener("pointerdown", under);
      map.canvas.addEventListener("focus", () => {
        if (map.canvas.matches(":focus-visible")) point(map);
      });
      map.canvas.addEventListener("keydown", (event) => {
        const step = event.shiftKey ? 10 : 1;
        const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!move) return;
        event.preventDefault();
        row = Math.max(0, Math.min(height - 1, row + step * move[0]));
        column = Math.max(0, Math.min(width - 1, column + step * move[1]));
        point(map);
      });
    }
    blend.addEventListener("input", repaint);
    if (smooth) smooth.addEventListener("change", rescale);
    for (const radio of group.querySelectorAll(".scale")) radio.addEventListener("change", rescale);
    group.hidden = false;
    rescale();
    return group;
  }

  for (const group of document.querySelectorAll(".maps")) start(group).then(close, () => {});

  // If the maps can be read interactively, the pictures of the analyses are collapsed.
  function close(group) {
    for (const entry of group.closest(".image").querySelectorAll(".entry.mapped")) entry.open = false;
    open();
  }

  // Opens the element in the fragment of the URL.
  function open() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target) return;
    const entry = target.querySelector(":scope > .entry");
    if (entry) entry.open = true;
    target.scrollIntoView();
  }
  addEventListener("hashchange", open);

  const contents = document.querySelector(".contents");
  const beside = matchMedia("(min-width: 70rem)");
  const unfold = () => { contents.open = beside.matches; };
  beside.addEventListener("change", unfold);
  unfold();
  const links = new Map();
  for (const link of contents.querySelectorAll("a")) {
    links.set(link.hash.slice(1), link);
    link.addEventListener("click", () => {
      if (!beside.matches) contents.open = false;
      // Following a link to the current fragment fires no event.
      if (link.hash === location.hash) open();
    });
  }
  // Highlights the current section in the contents: the last one that begins above the middle of the screen.
  const places = [...links.keys()].map((name) => document.getElementById(name));
  let waiting = false;
  function mark() {
    waiting = false;
    let here = null;
    for (const place of places) {
      if (place.offsetParent !== null && place.getBoundingClientRect().top < innerHeight / 2) here = place;
    }
    for (const [name, link] of links) {
      if (here && here.id === name) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
    const current = here && links.get(here.id);
    if (current && beside.matches) {
      const side = contents.parentElement;
      const [top, bottom] = [current.offsetTop - side.scrollTop, current.offsetTop - side.scrollTop + current.offsetHeight];
      if (top < 0 || bottom > side.clientHeight) side.scrollTop = current.offsetTop - side.clientHeight / 2;
    }
  }
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(mark);
  }, { passive: true });

  // For panels.js.
  globalThis.cnnexplain = { words, colors };
})();
