(() => {
  const { words, colors } = globalThis.cnnexplain;
  const LEVELS = 63;

  const clamp = (value, count) => Math.max(0, Math.min(count - 1, value));

  // Decodes maps from panels.py: one byte per value, in row-major order.
  async function unpacked(group) {
    const sprite = new Image();
    sprite.src = group.sprite;
    await sprite.decode();
    const canvas = document.createElement("canvas");
    canvas.width = sprite.width;
    canvas.height = sprite.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(sprite, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    return Array.from({ length: group.count }, (_, number) => {
      const [low, step] = [group.low[number], (group.high[number] - group.low[number]) / LEVELS];
      const [top, left] = [Math.floor(number / group.columns) * group.height, (number % group.columns) * group.width];
      const numbers = Float32Array.from({ length: group.height * group.width }, (_, index) => {
        const [row, column] = [top + Math.floor(index / group.width), left + (index % group.width)];
        return low + step * pixels[4 * (row * canvas.width + column)];
      });
      return { numbers, step, low, high: group.high[number], height: group.height, width: group.width, block: group.block };
    });
  }

  function paint(canvas, map, panel, own) {
    canvas.width = map.width;
    canvas.height = map.height;
    const limit = (own ? Math.max(Math.abs(map.low), Math.abs(map.high)) : panel.limit) || 1;
    const table = (panel.signed ? colors.signed : colors.unsigned).bar;
    const picture = new ImageData(map.width, map.height);
    map.numbers.forEach((value, index) => {
      const share = panel.signed ? 0.5 + value / (2 * limit) : value / limit;
      const from = 3 * clamp(Math.floor(256 * share), 256);
      picture.data.set([table[from], table[from + 1], table[from + 2], 255], 4 * index);
    });
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return limit;
  }

  // The receptive field of the units in a block along one axis: the first pixel, and the one after the last.
  function seen(axis, first, block, count, length) {
    if (!axis) return null;
    const last = Math.min(first * block + block, count) - 1;
    if (Array.isArray(axis[0])) {
      // A pair for each position; units in the padding see nothing.
      const pairs = axis.slice(first * block, last + 1).filter(([from, to]) => from < to);
      return pairs.length ? [Math.min(...pairs.map((pair) => pair[0])), Math.max(...pairs.map((pair) => pair[1]))] : [0, 0];
    }
    const [start, step, size] = axis;
    if (step === 0) return [0, length];
    return [Math.max(0, start + first * block * step), Math.min(length, start + last * step + size)];
  }

  function put(frame, [top, bottom], [left, right], height, width) {
    frame.hidden = false;
    frame.style.top = `${(100 * top) / height}%`;
    frame.style.left = `${(100 * left) / width}%`;
    frame.style.height = `${(100 * (bottom - top)) / height}%`;
    frame.style.width = `${(100 * (right - left)) / width}%`;
  }

  async function start(atlas) {
    const source = atlas.closest(".image").querySelector(".seen img");
    await source.decode();
    const [height, width] = [source.naturalHeight, source.naturalWidth];
    const panels = JSON.parse(atlas.querySelector(":scope > .data").textContent);
    const own = atlas.querySelector(".own");
    const zoom = atlas.querySelector(".zoom");
    const [large, beside] = zoom.querySelectorAll(".sight");
    const canvas = large.querySelector("canvas");
    beside.querySelector("img").src = source.src;
    const thumbs = [];
    let [at, row, column] = [null, 0, 0];

    function valueText(thumb) {
      const value = thumb.panel.values && thumb.panel.values[thumb.number];
      // Three significant digits.
      return value === null ? "" : `${value > 0 ? "+" : ""}${words(value, Math.abs(value) / 999)} ${thumb.panel.valueUnit}`;
    }

    function point() {
      const { map, panel } = at;
      row = clamp(row, map.height);
      column = clamp(column, map.width);
      put(large.querySelector(".frame"), [row, row + 1], [column, column + 1], map.height, map.width);
      const [rows, columns] = panel.field || [];
      const down = seen(rows, row, map.block, panel.height, height);
      const across = seen(columns, column, map.block, panel.width, width);
      const mean = map.block > 1 ? ` (mean of ${map.block} × ${map.block})` : "";
      let sees = "its receptive field is unknown";
      if (down) {
        put(beside.querySelector(".frame"), down, across, height, width);
        const whole = down[1] - down[0] === height && across[1] - across[0] === width;
        sees = whole ? "sees the whole image" : `sees rows ${down[0]} to ${down[1] - 1}, columns ${across[0]} to ${across[1] - 1}`;
        if (down[0] >= down[1] || across[0] >= across[1]) sees = "sees nothing of the image";
      }
      const value = words(map.numbers[row * map.width + column], map.step);
      zoom.querySelector("output").textContent =
        `Row ${row * map.block}, column ${column * map.block}: ${value} ${panel.unit}${mean}; ${sees}.`;
    }

    function show(thumb) {
      at = thumb;
      const name = `map ${thumb.panel.names[thumb.number]}`;
      zoom.querySelector("h4").textContent = [name, valueText(thumb), thumb.panel.title].filter(Boolean).join(" · ");
      const limit = paint(canvas, thumb.map, thumb.panel, own.checked);
      zoom.querySelector(".colors").textContent =
        `Colors from ${thumb.panel.signed ? words(-limit) : 0} to ${words(limit)} ${thumb.panel.unit}`;
      if (!zoom.open) {
        [row, column] = [Math.floor(thumb.map.height / 2), Math.floor(thumb.map.width / 2)];
        zoom.showModal();
        canvas.focus();
      }
      point();
    }

    async function fill(place, panel, group, first) {
      for (const [index, map] of (await unpacked(group)).entries()) {
        const button = document.createElement("button");
        const [picture, name] = [document.createElement("canvas"), document.createElement("span")];
        const thumb = { panel, map, number: first + index, picture };
        name.textContent = panel.names[thumb.number];
        const value = document.createElement("span");
        value.textContent = valueText(thumb).replace(` ${panel.valueUnit}`, "");
        button.type = "button";
        button.setAttribute("aria-label", `map ${name.textContent} ${valueText(thumb)}: enlarge`);
        button.append(picture, name, value);
        button.addEventListener("click", () => show(thumb));
        place.append(button);
        paint(picture, map, panel, own.checked);
        thumbs.push(thumb);
      }
    }

    const plates = atlas.querySelectorAll(".plate");
    await Promise.all(panels.map(async (panel, number) => {
      const [open, strip] = plates[number].querySelectorAll(".thumbs");
      await fill(open, panel, panel.groups[0], 0);
      // The maps in the closed section are drawn when it is opened.
      if (strip) {
        strip.parentElement.addEventListener("toggle", () => fill(strip, panel, panel.groups[1], panel.groups[0].count), { once: true });
      }
    }));
    own.addEventListener("change", () => {
      for (const { picture, map, panel } of thumbs) paint(picture, map, panel, own.checked);
    });
    const under = (event) => {
      const box = canvas.getBoundingClientRect();
      row = Math.floor(((event.clientY - box.top) / box.height) * at.map.height);
      column = Math.floor(((event.clientX - box.left) / box.width) * at.map.width);
      point();
    };
    canvas.addEventListener("pointermove", under);
    canvas.addEventListener("pointerdown", under);
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      [row, column] = [row + move[0], column + move[1]];
      point();
    });
    for (const [name, step] of [[".before", -1], [".after", 1]]) {
      zoom.querySelector(name).addEventListener("click", () => {
        show(thumbs[(thumbs.indexOf(at) + step + thumbs.length) % thumbs.length]);
      });
    }
    atlas.hidden = false;
    // If the maps can be enlarged, the picture of the analysis is collapsed.
    atlas.closest("article").querySelector(".entry").open = false;
  }

  for (const atlas of document.querySelectorAll(".atlas")) start(atlas).catch(() => {});
})();
