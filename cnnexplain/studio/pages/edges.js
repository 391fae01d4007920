// The connections between items of the network, as curves behind their cards.
const NS = "http://www.w3.org/2000/svg";

export function edges(board, shown, cards) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("class", "edges");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("width", board.scrollWidth);
  svg.setAttribute("height", board.scrollHeight);
  const columns = new Map(shown.map((item) => [item.name, item.column]));
  for (const item of shown) {
    for (const source of item.sources) {
      const [from, to] = [cards.get(source), cards.get(item.name)];
      if (!from || !to) continue;
      const path = document.createElementNS(NS, "path");
      const far = item.column - columns.get(source) > 1;
      path.setAttribute("d", curve(from, to, far));
      path.setAttribute("class", far ? "far" : "near");
      svg.append(path);
    }
  }
  return svg;
}

// From the right side of a card to the left side of another; past the cards between them above.
function curve(from, to, far) {
  const [startX, endX] = [from.offsetLeft + from.offsetWidth, to.offsetLeft];
  const [startY, endY] = [from.offsetTop + 22, to.offsetTop + 22];
  if (!far) {
    const half = (endX - startX) / 2;
    return `M${startX} ${startY}C${startX + half} ${startY} ${endX - half} ${endY} ${endX} ${endY}`;
  }
  const top = Math.min(from.offsetTop, to.offsetTop) - 12;
  return (
    `M${startX} ${startY}C${startX + 10} ${startY} ${startX + 4} ${top} ${startX + 24} ${top}` +
    `L${endX - 24} ${top}C${endX - 4} ${top} ${endX - 10} ${endY} ${endX} ${endY}`
  );
}
