"use strict";
(() => {
  const list = document.querySelector(".tiles");
  const tiles = [...list.querySelectorAll(".tile")].map((element, given) => ({
    element,
    given,
    name: element.querySelector(".name").title,
    class: element.querySelector("strong").textContent,
    amount: Number(element.dataset.amount),
  }));
  const sheets = new Map([...list.querySelectorAll(".sheet")].map((each) => [each.dataset.name, each.dataset]));
  const of = new Map(tiles.map((tile) => [tile.element, tile]));

  // A thumbnail is a part of a sheet, or a file of its own in results without sheets.
  function load(element) {
    const { sheet, place } = element.dataset;
    const thumb = element.querySelector(".thumb").style;
    const link = element.querySelector("a").href;
    if (!sheet) {
      if (/\.(png|svg)$/.test(link)) thumb.backgroundImage = `url("${link}")`;
      return;
    }
    const { count, columns, height, width } = sheets.get(sheet);
    const [wide, tall] = [Number(columns), Math.ceil(count / columns)];
    const [column, row] = [place % wide, Math.floor(place / wide)];
    thumb.aspectRatio = `${width} / ${height}`;
    thumb.backgroundImage = `url("${sheet}")`;
    thumb.backgroundSize = `${100 * wide}% ${100 * tall}%`;
    thumb.backgroundPosition = `${wide > 1 ? (100 * column) / (wide - 1) : 0}% ${tall > 1 ? (100 * row) / (tall - 1) : 0}%`;
    if (Math.max(width, height) < 64) thumb.imageRendering = "pixelated";
  }
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      load(entry.target);
      near.unobserve(entry.target);
    }
  }, { rootMargin: "1000px" });
  for (const tile of tiles) near.observe(tile.element);
  addEventListener("beforeprint", () => tiles.forEach((tile) => load(tile.element)));

  const words = new Intl.Collator(undefined, { numeric: true });
  const orders = {
    given: (one, other) => one.given - other.given,
    high: (one, other) => other.amount - one.amount || one.given - other.given,
    low: (one, other) => one.amount - other.amount || one.given - other.given,
    name: (one, other) => words.compare(one.name, other.name) || one.given - other.given,
    class: (one, other) => words.compare(one.class, other.class) || other.amount - one.amount,
  };
  const chooser = document.querySelector(".chooser");
  const order = chooser.querySelector(".order");
  const choice = chooser.querySelector(".class");
  let shown = tiles;

  function arrange() {
    shown = tiles.filter((tile) => choice.value === "" || tile.class === choice.value).sort(orders[order.value]);
    const kept = new Set(shown);
    for (const tile of tiles) tile.element.hidden = !kept.has(tile);
    list.append(...shown.map((tile) => tile.element));
    chooser.querySelector("output").textContent = shown.length < tiles.length ? `${shown.length} of ${tiles.length}` : "";
  }
  const counts = new Map();
  for (const tile of tiles) counts.set(tile.class, (counts.get(tile.class) || 0) + 1);
  for (const name of [...counts.keys()].sort(words.compare)) choice.append(new Option(`${name} (${counts.get(name)})`, name));
  // When the user navigates back, the browser restores the selection.
  if (order.value !== "given" || choice.value !== "") arrange();
  order.addEventListener("change", arrange);
  choice.addEventListener("change", arrange);
  chooser.addEventListener("submit", (event) => event.preventDefault());
  chooser.hidden = tiles.length < 2;

  const viewer = document.querySelector(".viewer");
  let here = 0;
  const pictured = () => shown.filter((tile) => tile.element.querySelector("a[href]"));

  function view(place) {
    here = Math.max(0, Math.min(pictured().length - 1, place));
    const { element, name } = pictured()[here];
    const link = element.querySelector("a");
    const finding = element.querySelector(".finding");
    viewer.querySelector("h2").textContent = name;
    viewer.querySelector(".shows").textContent = element.querySelector(".shows").textContent.replace(/\s+/g, " ");
    viewer.querySelector(".finding").textContent = finding ? finding.textContent : "";
    const file = viewer.querySelector(".file a");
    file.href = link.href;
    file.textContent = "The picture’s file";
    const picture = viewer.querySelector("img");
    viewer.querySelector(".undrawn").hidden = true;
    picture.hidden = !/\.(png|svg)$/.test(link.href);
    if (picture.hidden) picture.removeAttribute("src");
    else picture.src = link.href;
    picture.alt = name;
    viewer.querySelector(".before").disabled = here === 0;
    viewer.querySelector(".after").disabled = here === pictured().length - 1;
  }
  // The picture of an interrupted run may not exist yet.
  viewer.querySelector("img").addEventListener("error", ({ target }) => {
    target.hidden = true;
    viewer.querySelector(".undrawn").hidden = false;
  });
  list.addEventListener("click", (event) => {
    const link = event.target.closest(".tile a[href]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    view(pictured().indexOf(of.get(link.closest(".tile"))));
    viewer.showModal();
  });
  viewer.querySelector(".before").addEventListener("click", () => view(here - 1));
  viewer.querySelector(".after").addEventListener("click", () => view(here + 1));
  viewer.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) view(here + step);
  });
  viewer.addEventListener("close", () => pictured()[here].element.querySelector("a").focus());
})();
