// Every view has an address: /see/LAYER?input=NAME&open=BLOCK,BLOCK.

let changed = () => {};

export function onchange(run) {
  changed = run;
}

export function current() {
  const [, layer] = location.pathname.match(/^\/see\/(.+)$/) || [];
  const query = new URLSearchParams(location.search);
  return {
    layer: layer ? decodeURIComponent(layer) : "",
    input: query.get("input") || "",
    open: query.getAll("open"),
  };
}

// The address of a view; what is not given is as in the current one.
export function address(place = {}) {
  const { layer, input, open } = { ...current(), ...place };
  const path = layer ? `/see/${layer.split("/").map(encodeURIComponent).join("/")}` : "/";
  const query = new URLSearchParams(input ? { input } : {});
  for (const block of open) query.append("open", block);
  return query.size ? `${path}?${query}` : path;
}

// Changes the address of the current view.
export function replace(place) {
  history.replaceState(null, "", address(place));
}

// The address of another input: of the current entry of the history, or of a new one.
export function input(name, { entry }) {
  if (name === current().input) return;
  history[entry ? "pushState" : "replaceState"](null, "", address({ input: name }));
}

// A link within the studio.
export function follow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const link = event.currentTarget;
  // The input may have changed since the link was made.
  const layer = new URL(link.href).pathname.match(/^\/see\/(.+)$/)?.[1] || "";
  history.pushState(null, "", address({ layer: decodeURIComponent(layer) }));
  changed();
}
