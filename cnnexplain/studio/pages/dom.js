// Creates an element: element("p", { class: "hint" }, "text", child, …). Functions are listeners: { onclick: f }.
export function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") created[key] = value;
    else if (value === true) created.setAttribute(key, "");
    else if (value !== false && value !== null) created.setAttribute(key, value);
  }
  created.append(...children);
  return created;
}

// Runs a function before the next repaint, and only once, however often it is called.
export function oncePerFrame(run) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      run();
    });
  };
}
