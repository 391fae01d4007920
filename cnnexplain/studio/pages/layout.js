// Where the layers of a network are drawn: in columns from left to right, and in lanes, one for each branch.

// The items (layers, or collapsed blocks) with the items whose outputs they take, in the order of computation.
export function items(model, opened) {
  const byName = new Map(model.layers.map((layer) => [layer.name, layer]));
  const shownAs = new Map([["input", "input"]]);
  const shown = [];
  for (const [name, layers] of model.blocks) {
    const open = layers.length === 1 || opened.has(name);
    for (const layer of layers) shownAs.set(layer, open ? layer : name);
    const groups = open ? layers.map((layer) => [layer, [layer]]) : [[name, layers]];
    for (const [item, members] of groups) {
      const inside = new Set(members);
      const sources = members.flatMap((layer) => byName.get(layer).sources.filter((source) => !inside.has(source)));
      shown.push({
        name: item,
        block: layers.length > 1 ? name : null,
        layers: members,
        // What a block shows is its last layer.
        layer: byName.get(members.at(-1)),
        sources: [...new Set(sources.map((source) => shownAs.get(source) ?? source))],
      });
    }
  }
  return shown;
}

// Adds to each item its column, right of all items that it takes outputs of, and its lane.
export function place(shown) {
  const column = new Map([["input", -1]]);
  const lane = new Map([["input", 0]]);
  const users = new Map();
  for (const item of shown) for (const source of item.sources) users.set(source, (users.get(source) || 0) + 1);
  const taken = new Map();
  const free = (at, from, wanted) => {
    // A lane is free if no item in the columns between is in it.
    for (let number = wanted; ; number++) {
      let clear = true;
      for (let between = from + 1; between <= at; between++) clear &&= !taken.get(between)?.has(number);
      if (clear) return number;
    }
  };
  for (const item of shown) {
    const before = item.sources.filter((source) => column.has(source));
    item.column = Math.max(-1, ...before.map((source) => column.get(source))) + 1;
    const main = before.reduce((best, source) => (column.get(source) > column.get(best) ? source : best), before[0] ?? "input");
    // Where branches meet again, the first lane goes on.
    const wanted = before.length > 1 ? Math.min(...before.map((source) => lane.get(source))) : lane.get(main);
    item.lane = free(item.column, column.get(main), wanted);
    column.set(item.name, item.column);
    lane.set(item.name, item.lane);
    for (let between = column.get(main) + 1; between <= item.column; between++) {
      if (!taken.has(between)) taken.set(between, new Set());
      taken.get(between).add(item.lane);
    }
  }
  return shown;
}
