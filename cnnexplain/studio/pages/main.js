import { Bars } from "./bars.js";
import { Connection } from "./connection.js";
import { Editor } from "./editor.js";
import { NetworkView } from "./network.js";
import { LayerView } from "./layer.js";
import * as palette from "./palette.js";
import * as router from "./router.js";

const status = document.getElementById("status");
const place = document.getElementById("view");

async function start() {
  const response = await fetch("/model");
  if (!response.ok) throw new Error(await response.text());
  const model = await response.json();
  palette.use(model.palettes);
  document.getElementById("model").textContent = `${model.name} · ${model.input.shape.join(" × ")} input`;
  document.title = `${model.name} · cnnexplain studio`;

  const connection = new Connection();
  const editor = new Editor(document.getElementById("input"), model);
  const bars = new Bars(document.getElementById("input"), model);
  let view = null;

  connection.addEventListener("state", (event) => {
    status.textContent = event.detail === "open" ? "" : "No connection to the studio; trying again …";
  });

  async function see() {
    try {
      const answer = await connection.ask("see", { layers: view.wanted() }, editor.pixels());
      if (!answer) return;
      status.textContent = "";
      bars.show(answer);
      view.show(answer);
      editor.named(answer.input);
    } catch (error) {
      status.textContent = error.message;
    }
  }

  function route() {
    const { layer } = router.current();
    const known = model.layers.some((each) => each.name === layer);
    view?.close();
    place.replaceChildren();
    view = known ? new LayerView(place, model, layer) : new NetworkView(place, model);
    view.addEventListener("change", see);
    see();
  }

  editor.addEventListener("change", see);
  addEventListener("popstate", async () => {
    await editor.open(router.current().input);
    route();
  });
  router.onchange(route);
  await editor.open(router.current().input);
  route();
}

start().catch((error) => {
  status.textContent = error.message;
});
