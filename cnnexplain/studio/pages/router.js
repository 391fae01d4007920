// Every view has an address: /see/LAYER?input=NAME.

let changed = () => {};

export function onchange(run) {
  changed = run;
}

export function current() {
  const [, layer] = location.pathname.match(/^\/see\/(.+)$/) || [];
  return { layer: layer ? decodeURIComponent(layer) : null, input: new URLSearchParams(location.search).get("input") };
}

export function address({ layer = current().layer, input = current().input } = {}) {
  const path = layer ? `/see/${layer.split("/").map(encodeURIComponent).join("/")}` : "/";
  return input ? `${path}?input=${encodeURIComponent(input)}` : path;
}

// Shows another view.
export function go(place) {
  history.pushState(null, "", address(place));
  changed();
}

// The address of another input: of the current entry of the history, or a new one.
export function input(name, { entry }) {
  if (name === current().input) return;
  history[entry ? "pushState" : "replaceState"](null, "", address({ input: name }));
}

// A link within the studio.
export function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", event.currentTarget.getAttribute("href"));
  changed();
}
