// The diagram: a panel for every facet, cells or points that are chosen by pointer or keyboard.

const LETTERS = "ABCDEFGH", PIXELS = 2;

function drawMap(stage, sweep, view, act) {
  const found = cellsOf(sweep, view), quantity = new Quantity(sweep, view);
  for (const panel of found.panels) for (const cell of panel.cells) cell.told = quantity.cell(cell.runs);
  const numbers = found.panels.flatMap((panel) => panel.cells.map((cell) => cell.told.value));
  const colours = quantity.colours(numbers);
  const width = Math.max(280, stage.clientWidth || 560);
  const columns = Math.min(found.panels.length, Math.max(1, Math.floor(width / 230)), found.panels.length > 4 ? 4 : 2);
  const places = { columns, across: width / columns };
  const draw = { cells: drawCells, points: drawPoints, value: drawValues }[found.kind];
  const drawn = found.panels.map((panel, i) => draw(panel, i, found, quantity, colours, places));
  const each = Math.max(...drawn.map((panel) => panel.height));
  const height = each * Math.ceil(drawn.length / columns);
  const label = `${quantity.label} over ${found.across.label}${found.up ? ` and ${found.up.label}` : ""}. Arrow keys move, Enter shows the curves.`;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, hatching());
  drawn.forEach((panel, i) => {
    panel.left = (i % columns) * places.across;
    panel.top = Math.floor(i / columns) * each;
    root.append(svg("g", { transform: `translate(${panel.left} ${panel.top})` }, panel.root));
  });
  const marks = svg("g", {});
  root.append(marks);
  stage.replaceChildren(root);
  stage.setAttribute("aria-label", label);
  const map = { found, quantity, drawn, root, marks, colours };
  markChosen(map, view);
  listen(stage, map, view, act);
  return map;
}

function hatching() {
  const line = svg("path", { d: "M0,6L6,0", stroke: "#a8a8a8", "stroke-width": 0.8 });
  const pattern = svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse" });
  pattern.append(svg("rect", { width: 6, height: 6, fill: "#f7f7f7" }), line);
  return svg("defs", {}, pattern);
}

function title(panel) {
  return panel.title ? svg("text", { x: 4, y: 12, "font-weight": 600 }, panel.title) : null;
}

function drawCells(panel, number, { across, up }, quantity, colours, places) {
  const nx = across.texts.length, ny = up.texts.length;
  const left = 58, top = panel.title ? 20 : 8, right = 8, bottom = 36;
  const w = places.across - left - right;
  const cw = w / nx, ch = Math.max(2, Math.min(46, cw * 1.1, 400 / ny), Math.min(14, 150 / ny)), h = ch * ny;
  const canvas = el("canvas", { width: Math.round(w * PIXELS), height: Math.round(h * PIXELS) });
  const ink = canvas.getContext("2d"), root = svg("g", {});
  ink.scale(canvas.width / w, canvas.height / h);
  ink.fillStyle = "#ffffff";
  ink.fillRect(0, 0, w, h);
  const gap = Math.min(cw, ch) > 6 ? 0.5 : 0, texts = svg("g", {}), rest = svg("g", {});
  for (const cell of panel.cells) {
    const x = cell.column * cw, y = h - (cell.row + 1) * ch, { value, second, share, diverged } = cell.told;
    const known = quantity.classes ? value >= 0 : Number.isFinite(value);
    if (!known) rest.append(svg("rect", { x: left + x + gap, y: top + y + gap, width: Math.max(0.5, cw - 2 * gap), height: Math.max(0.5, ch - 2 * gap), fill: "url(#hatch)" }));
    else {
      ink.fillStyle = colours.color(value);
      ink.fillRect(x + gap, y + gap, cw - 2 * gap, ch - 2 * gap);
      if (second >= 0) secondSquare(ink, x, y, cw, ch, Math.sqrt(share), colours.color(second));
    }
    if (!quantity.classes && cw >= 34 && ch >= 16) {
      const fill = known ? inkOn(colours.color(value)) : "#222222", middle = { "text-anchor": "middle", style: null };
      texts.append(svg("text", { x: left + x + cw / 2, y: top + y + ch / 2 + 4, ...middle, fill }, shortly(value)));
      texts.lastChild.style.fill = fill;
    }
    if (diverged && cw > 7 && ch > 7) rest.append(cross(left + x + cw - 4.5, top + y + 4.5, 2.2));
  }
  root.append(svg("image", { href: canvas.toDataURL(), x: left, y: top, width: w, height: h, preserveAspectRatio: "none" }), rest, texts);
  root.append(cellAxes(across, up, left, top, w, h, cw, ch), ...[title(panel)].filter(Boolean));
  const spot = (cell) => ({ x: left + cell.column * cw, y: top + h - (cell.row + 1) * ch, width: cw, height: ch });
  const at = (x, y) => {
    const column = Math.floor((x - left) / cw), row = Math.floor((top + h - y) / ch);
    return panel.cells.find((cell) => cell.column === column && cell.row === row);
  };
  return { root, height: top + h + bottom, cells: panel.cells, spot, at, panel };
}

function secondSquare(ink, x, y, w, h, share, color) {
  const inner = [x + (w * (1 - share)) / 2, y + (h * (1 - share)) / 2, w * share, h * share];
  ink.fillStyle = color;
  ink.fillRect(...inner);
  ink.strokeStyle = "#ffffff";
  ink.lineWidth = 0.7;
  ink.strokeRect(...inner);
}

function cross(x, y, r, color = "#000") {
  const d = `M${x - r},${y - r}L${x + r},${y + r}M${x - r},${y + r}L${x + r},${y - r}`;
  return svg("g", {}, svg("path", { d, stroke: "#fff", "stroke-width": 3 }), svg("path", { d, stroke: color, "stroke-width": 1.3 }));
}

function cellAxes(across, up, left, top, w, h, cw, ch) {
  const axes = svg("g", { class: "axes" });
  const longest = Math.max(...across.texts.map((_, i) => tickText(across, i).length)) * 6.2 + 8;
  const strideX = Math.max(1, Math.ceil(longest / cw)), strideY = Math.max(1, Math.ceil(13 / ch));
  across.texts.forEach((_, i) => {
    if (i % strideX) return;
    axes.append(svg("text", { x: left + (i + 0.5) * cw, y: top + h + 14, "text-anchor": "middle" }, tickText(across, i)));
  });
  up.texts.forEach((_, i) => {
    if (i % strideY) return;
    axes.append(svg("text", { x: left - 5, y: top + h - (i + 0.5) * ch + 4, "text-anchor": "end" }, tickText(up, i).slice(0, 9)));
  });
  axes.append(svg("text", { x: left + w / 2, y: top + h + 31, "text-anchor": "middle" }, across.label));
  axes.append(svg("text", { transform: `translate(10 ${top + h / 2}) rotate(-90)`, "text-anchor": "middle" }, up.label));
  return axes;
}

// Runs that lie on no grid, at their numbers.
function drawPoints(panel, number, { across, up }, quantity, colours, places) {
  const left = 58, top = panel.title ? 20 : 8, right = 8, bottom = 36, h = 300, w = places.across - left - right;
  const x = placesOf(across, left, left + w), y = placesOf(up, top + h, top);
  const root = svg("g", {}, pointAxes(across.label, up.label, x, y, left, top, w, h), title(panel));
  for (const cell of panel.cells) {
    const known = quantity.classes ? cell.told.value >= 0 : Number.isFinite(cell.told.value);
    const fill = known ? colours.color(cell.told.value) : "url(#hatch)";
    root.append(svg("circle", { cx: x(cell.column), cy: y(cell.row), r: 4, fill, stroke: known ? "#fff" : "#777", "stroke-width": 0.6 }));
    if (cell.told.diverged) root.append(cross(x(cell.column), y(cell.row), 2.2));
  }
  const spot = (cell) => ({ x: x(cell.column) - 6, y: y(cell.row) - 6, width: 12, height: 12 });
  const at = (px, py) => nearest(panel.cells, (cell) => Math.hypot(x(cell.column) - px, y(cell.row) - py), 14);
  return { root, height: top + h + bottom, cells: panel.cells, spot, at, panel };
}

// One axis: the value of every run up the other, the median as a line.
function drawValues(panel, number, { across }, quantity, colours, places) {
  const left = quantity.classes ? 96 : 58, top = panel.title ? 20 : 8, right = 8, bottom = 36, h = 240, w = places.across - left - right;
  const range = quantity.classes ? [0, quantity.classes.length - 1] : colours.range || [0, 1];
  const pad = (range[1] - range[0]) * 0.05 || 0.5;
  const log = colours.log, x = placesOf(across, left, left + w);
  const y = log ? logarithmic(range[0] / 1.1, range[1] * 1.1, top + h, top) : linear(range[0] - pad, range[1] + pad, top + h, top);
  const ticks = quantity.classes ? quantity.classes.map((name, i) => [y(i), name]) : y.ticks().map((v) => [y(v), shortly(v)]);
  const up = Object.assign(() => 0, { ticks: () => ticks });
  const root = svg("g", {}, pointAxes(across.label, quantity.variable.label, x, up, left, top, w, h), title(panel));
  const line = [];
  for (const cell of panel.cells.sort((a, b) => a.column - b.column)) {
    cell.told.values.forEach((value, i) => {
      const wobble = quantity.classes ? ((i % 7) - 3) * 2.4 : 0;
      if (Number.isFinite(value)) root.append(svg("circle", { cx: x(cell.column) + wobble, cy: y(value), r: 2.6, fill: quantity.classes ? colours.color(value) : "#0072b2", "fill-opacity": 0.55 }));
      else root.append(cross(x(cell.column) + ((i % 7) - 3) * 3, top + 5, 2.2, value === Infinity ? "#777" : "#d55e00"));
    });
    if (!quantity.classes && Number.isFinite(cell.told.value)) line.push(`${x(cell.column)},${y(cell.told.value)}`);
  }
  if (line.length > 1) root.append(svg("path", { d: "M" + line.join("L"), class: "curve", stroke: "#222", "stroke-width": 1.5 }));
  const half = panel.cells.length > 1 ? Math.min(18, w / panel.cells.length / 2) : 12;
  const spot = (cell) => ({ x: x(cell.column) - half, y: top, width: 2 * half, height: h });
  const at = (px) => nearest(panel.cells, (cell) => Math.abs(x(cell.column) - px), 40);
  return { root, height: top + h + bottom, cells: panel.cells, spot, at, panel };
}

function pointAxes(labelX, labelY, x, y, left, top, w, h) {
  const axes = svg("g", { class: "axes" });
  let last = -Infinity;
  for (const [place, text] of x.ticks()) {
    if (place - last < text.length * 6 + 6) continue;
    last = place;
    axes.append(svg("line", { x1: place, x2: place, y1: top + h, y2: top + h + 4 }));
    axes.append(svg("text", { x: place, y: top + h + 15, "text-anchor": "middle" }, text));
  }
  for (const [place, text] of y.ticks()) {
    axes.append(svg("line", { class: "grid", x1: left, x2: left + w, y1: place, y2: place }));
    axes.append(svg("text", { x: left - 5, y: place + 4, "text-anchor": "end" }, text));
  }
  axes.append(svg("path", { d: `M${left},${top}V${top + h}H${left + w}` }));
  axes.append(svg("text", { x: left + w / 2, y: top + h + 31, "text-anchor": "middle" }, labelX));
  axes.append(svg("text", { transform: `translate(10 ${top + h / 2}) rotate(-90)`, "text-anchor": "middle" }, labelY));
  return axes;
}

function nearest(cells, distance, most) {
  let best = null, least = most;
  for (const cell of cells) {
    const far = distance(cell);
    if (far <= least) [best, least] = [cell, far];
  }
  return best;
}

function markChosen(map, view) {
  map.marks.replaceChildren();
  const outline = (spot, panel, kind) => map.marks.append(
    svg("rect", { ...spot, x: spot.x + panel.left, y: spot.y + panel.top, class: kind }));
  for (const panel of map.drawn) {
    for (const cell of panel.cells) {
      const which = view.chosen.findIndex((one) => one.key === keyOf(panel, cell));
      if (which < 0) continue;
      const spot = panel.spot(cell);
      outline(spot, panel, "halo");
      outline(spot, panel, "cursor");
      const place = { x: panel.left + spot.x + spot.width / 2, y: panel.top + spot.y + spot.height / 2 + 4, "text-anchor": "middle" };
      if (view.chosen.length > 1) map.marks.append(svg("text", { ...place, class: "letter" }, LETTERS[which]));
    }
  }
  if (map.cursor) outline(map.cursor.panel.spot(map.cursor.cell), map.cursor.panel, "cursor");
}

function keyOf(panel, cell) {
  return `${panel.panel.title}|${cell.column}|${cell.row}`;
}

function listen(stage, map, view, act) {
  const under = (event) => {
    const box = map.root.getBoundingClientRect(), scale = map.root.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    for (const panel of map.drawn) {
      const cell = panel.at(x - panel.left, y - panel.top);
      const inside = x >= panel.left && y >= panel.top && y < panel.top + panel.height;
      if (cell && inside) return { panel, cell };
    }
    return null;
  };
  const pick = ({ panel, cell }, more) => act.choose({ key: keyOf(panel, cell), runs: cell.runs, label: labelOf(map.found, panel, cell) }, more);
  const say = (place) => act.say(place ? `${labelOf(map.found, place.panel, place.cell)}. ${map.quantity.told(place.cell.runs)}` : "");
  stage.onpointermove = (event) => say(under(event));
  stage.onclick = (event) => {
    const place = under(event);
    if (place) pick(place, event.ctrlKey || event.metaKey || event.shiftKey);
  };
  stage.onkeydown = (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "Enter" || event.key === " ") {
      if (map.cursor) pick(map.cursor, event.ctrlKey || event.shiftKey);
    } else if (moves[event.key]) {
      map.cursor = moved(map, moves[event.key]);
      markChosen(map, view);
      say(map.cursor);
    } else return;
    event.preventDefault();
  };
}

// The next cell that way: in its panel, else in the panel beside it.
function moved(map, [dx, dy]) {
  const { cursor, drawn } = map;
  if (!cursor) return { panel: drawn[0], cell: drawn[0].cells[0] };
  const { panel, cell } = cursor;
  const ahead = panel.cells.filter((one) => dx ? one.row === cell.row && (one.column - cell.column) * dx > 0
    : one.column === cell.column && (one.row - cell.row) * dy > 0);
  ahead.sort((a, b) => Math.abs(a.column - cell.column) + Math.abs(a.row - cell.row) - Math.abs(b.column - cell.column) - Math.abs(b.row - cell.row));
  if (ahead.length) return { panel, cell: ahead[0] };
  const next = drawn[drawn.indexOf(panel) + (dx || -dy)];
  if (!next) return cursor;
  return { panel: next, cell: next.cells.find((one) => one.row === cell.row) || next.cells[0] };
}

function labelOf({ across, up }, panel, cell) {
  const word = (axis, i) => `${axis.label} ${axis.numbers && axis.texts[i].length > 9 ? exactly(axis.numbers[i], 6) : axis.texts[i]}`;
  const parts = [word(across, cell.column)];
  if (up) parts.push(word(up, cell.row));
  if (panel.panel.title) parts.push(panel.panel.title);
  return parts.join(", ");
}

function mapLegend(map) {
  const { quantity, colours, found } = map, entries = [];
  if (colours.classes) {
    quantity.classes.forEach((name, i) => entries.push(swatch(colours.color(i), name === "grokking" ? `grokking (test ${quantity.variable.rule})` : name)));
    if (found.panels.some((panel) => panel.cells.some((cell) => cell.told.second >= 0))) entries.push(el("span", {}, "inner square: other runs, by area"));
  } else if (colours.range && found.kind !== "value") entries.push(bar(colours));
  if (found.panels.some((panel) => panel.cells.some((cell) => !(quantity.classes ? cell.told.value >= 0 : Number.isFinite(cell.told.value))))) {
    const hatch = svg("svg", { width: 14, height: 12 }, svg("rect", { width: 14, height: 12, fill: "url(#hatch)" }));
    const words = quantity.isTime ? "not within the steps, diverged, or no results" : "diverged or no results";
    entries.push(found.kind === "value" ? el("span", {}, `✕ grey: not within the steps; orange: ${words}`) : el("span", {}, hatch, words));
  }
  if (found.kind !== "value" && found.panels.some((panel) => panel.cells.some((cell) => cell.told.diverged))) entries.push(el("span", {}, "✕ some runs diverged"));
  return entries;
}

function swatch(color, text) {
  const box = svg("svg", { width: 14, height: 12 }, svg("rect", { width: 14, height: 12, fill: color }));
  return el("span", {}, box, text);
}

function bar({ range, log, name }) {
  const width = 180, side = 32, root = svg("svg", { width: width + 2 * side, height: 30 }), [low, high] = range;
  for (let i = 0; i < 60; i++) root.append(svg("rect", { x: side + (i * width) / 60, y: 2, width: width / 60 + 0.5, height: 10, fill: ramp(name, i / 59) }));
  const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
  for (const [place, value] of low === high ? [[0.5, low]] : [[0, low], [0.5, middle], [1, high]]) {
    root.append(svg("text", { x: side + place * width, y: 25, "text-anchor": "middle" }, shortly(value)));
  }
  return el("span", {}, root, log ? "log" : "");
}
