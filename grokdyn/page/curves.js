// Records of the chosen runs over the steps: every run thin, medians thick, bands where there are many.

const MOST_LINES = 300, BAND_RUNS = 5, EACH = -1;

// What can be drawn together: a measure on all parts, or a variable alone.
function curveGroups(sweep) {
  const groups = new Map();
  for (const what of ["accuracy", "loss"]) {
    const names = sweep.parts[what].map((part) => `${part}_${what}`).filter((name) => sweep.byName.has(name));
    if (names.length) groups.set(`${what}*`, { label: `${what}: ${sweep.parts[what].join(", ")}`, names, axis: what });
  }
  for (const variable of sweep.variables) {
    if (variable.recorded) groups.set(variable.name, { label: variable.label, names: [variable.name], axis: variable.label });
  }
  return groups;
}

function lines(sweep, view, group) {
  const found = [];
  view.chosen.forEach((chosen, place) => {
    for (const name of group.names) {
      const variable = sweep.byName.get(name), inner = view.inner[name] || [];
      const last = variable.inner.length - 1;
      const each = last >= 0 && inner[last] === EACH ? variable.inner[last].texts.map((_, i) => i) : [null];
      for (const i of each) {
        const at = i === null ? inner : [...inner.slice(0, last), i];
        for (const run of chosen.runs) found.push({ place, chosen, name, variable, run, inner: at, which: i });
      }
    }
  });
  return found;
}

// The key of a line's colour, and its words.
function colourOf(line, sweep, view, group) {
  if (line.which !== null) return line.variable.inner[line.variable.inner.length - 1].texts[line.which];
  if (view.colour && view.colour !== "cell") {
    const axis = sweep.axes.find((one) => one.name === view.colour);
    return `${axis.label} ${axis.texts[axis.index[line.run]]}`;
  }
  if (view.chosen.length > 1 || view.colour === "cell") return `${LETTERS[line.place]}: ${line.chosen.label}`;
  return line.variable.label;
}

function paletteOf(keys, group, sweep) {
  const split = group.names.map((name) => name.split("_")[0]);
  const own = keys.every((key) => group.names.some((name) => sweep.byName.get(name).label === key));
  const colors = manyColors(keys.length);
  return new Map(keys.map((key, i) => {
    const name = own && group.names.find((one) => sweep.byName.get(one).label === key);
    return [key, (name && about.colors.split[split[group.names.indexOf(name)]]) || colors[i]];
  }));
}

function drawCurves(stage, sweep, view, group, act) {
  const all = lines(sweep, view, group).filter((line) => sweep.begunRun(line.run));
  const width = Math.max(280, stage.clientWidth || 560), height = 340;
  for (const line of all) {
    line.values = sweep.curve(line.name, line.run, line.inner);
    line.colour = colourOf(line, sweep, view, group);
  }
  const steps = sweep.steps, from = view.logX ? steps.findIndex((step) => step > 0) : 0;
  const seen = all.flatMap((line) => Array.from(line.values.slice(Math.max(from, 0)))).filter((v) => Number.isFinite(v) && (!view.logY || v > 0));
  const range = extent(seen);
  if (!range || from < 0 || steps.length === 0) {
    stage.replaceChildren(el("p", { class: "note" }, view.chosen.length ? "Nothing was recorded of these runs that can be drawn so." : "Choose a cell of the diagram or a run of the table."));
    return { legend: [], note: "" };
  }
  const margin = [10, 22, 38, 52], [top, right, bottom, left] = margin;
  const x = (view.logX ? logarithmic : linear)(steps[from], Math.max(steps[steps.length - 1], steps[from] + 1), left, width - right);
  const y = valueScale(range, group, view, height - bottom, top);
  const units = sweep.byName.get(group.names[0]).units;
  const yLabel = units && units !== "1" ? `${group.axis} (${units})` : group.axis;
  const label = `${group.axis} over the steps`;
  const { root, plot } = frame(width, height, { x, y, xLabel: view.logX ? "step (log)" : "step", yLabel, margin, label });
  const keys = [...new Set(all.map((line) => line.colour))], palette = paletteOf(keys, group, sweep);
  const dash = (line) => (group.names.length > 1 && palette.size && !group.names.some((n) => sweep.byName.get(n).label === line.colour)
    ? DASHES[(group.names.length - 1 - group.names.indexOf(line.name)) % DASHES.length] : "");
  const shown = all.length > MOST_LINES ? all.filter((_, i) => i % Math.ceil(all.length / MOST_LINES) === 0) : all;
  const thin = together(all).length > 0;
  const path = (values, line) => pathOf(steps, values, from, x, y, view.logY, line.variable.sparse);
  for (const line of shown) {
    const look = { stroke: palette.get(line.colour), "stroke-dasharray": dash(line), "stroke-width": thin ? 0.8 : 1.8, "stroke-opacity": thin ? Math.max(0.18, Math.min(0.6, 12 / shown.length)) : 1 };
    plot.append(svg("path", { d: path(line.values, line), class: "curve", ...look }));
    plot.append(...[endMark(sweep, line, from, x, y, view.logY, palette.get(line.colour))].filter(Boolean));
  }
  for (const group_ of together(all)) {
    const color = palette.get(group_[0].colour);
    const spread = recordsOf(sweep, group_);
    if (group_.length >= BAND_RUNS) plot.append(svg("path", { d: bandOf(steps, spread, from, x, y, view.logY), fill: color, "fill-opacity": 0.14 }));
    plot.append(svg("path", { d: path(spread.map((values) => reduced(values, "median")), group_[0]), class: "curve", stroke: color, "stroke-width": 2.2, "stroke-dasharray": dash(group_[0]) }));
  }
  const pointer = svg("g", {});
  root.append(pointer);
  stage.replaceChildren(root);
  stage.setAttribute("aria-label", `${label}. Arrow keys read the values.`);
  readValues(stage, { root, pointer, shown, steps, from, x, y, sweep, top, bottom: height - bottom }, view, act);
  const legend = keys.map((key) => stroke(palette.get(key), "", key));
  if (all.some((line) => dash(line))) for (const name of group.names) legend.push(stroke("#222222", dash({ name, colour: "" }), sweep.byName.get(name).label));
  if (thin) legend.push(el("span", {}, "thick: median, thin: single runs" + (together(all).some((g) => g.length >= BAND_RUNS) ? ", band: 10–90 %" : "")));
  if (all.some((line) => sweep.diverged(line.run))) legend.push(el("span", {}, "✕ diverged"));
  if (all.some((line) => sweep.stopped(line.run))) legend.push(el("span", {}, "● ended by a stop rule"));
  const note = shown.length < all.length ? `${shown.length} of ${all.length} single lines are drawn; medians and bands are of all. ` : "";
  const zero = view.logX && steps[0] <= 0 ? "Step 0 has no place on a log axis." : "";
  return { legend, note: note + zero };
}

function valueScale([low, high], group, view, from, to) {
  if (view.logY) return logarithmic(low / 1.15, high * 1.15, from, to);
  if (group.axis === "accuracy") return linear(Math.min(0, low), Math.max(1, high) * 1.02, from, to);
  const pad = (high - low) * 0.05 || Math.abs(high) * 0.1 || 0.5;
  return linear(low - pad, high + pad, from, to);
}

// Where not every record measures the variable, lines go on over those that do not.
function pathOf(steps, values, from, x, y, log, sparse) {
  let d = "", pen = "M";
  for (let i = from; i < steps.length; i++) {
    if (sparse && Number.isNaN(values[i])) continue;
    if (!Number.isFinite(values[i]) || (log && values[i] <= 0)) pen = "M";
    else {
      d += `${pen}${x(steps[i]).toFixed(1)},${y(values[i]).toFixed(1)}`;
      pen = "L";
    }
  }
  return steps.length - from === 1 && d ? `${d}h0.1` : d;
}

function endMark(sweep, line, from, x, y, log, color) {
  if (!sweep.diverged(line.run) && !sweep.stopped(line.run)) return null;
  let last = line.values.length - 1;
  while (last >= from && !(Number.isFinite(line.values[last]) && (!log || line.values[last] > 0))) last--;
  if (last < from) return null;
  const place = [x(sweep.steps[last]), y(line.values[last])];
  return sweep.diverged(line.run) ? cross(...place, 3) : svg("circle", { cx: place[0], cy: place[1], r: 2.4, fill: color });
}

// Lines of one variable and colour: what a median is of.
function together(all) {
  const groups = new Map();
  for (const line of all) {
    const key = `${line.name}|${line.colour}|${line.which}`;
    groups.set(key, [...(groups.get(key) || []), line]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

// At every record the numbers of all runs; one that a rule ended keeps its last.
function recordsOf(sweep, group) {
  return sweep.steps.map((_, record) => group.map((line) => sweep.at(line.variable, line.run, record, line.inner)));
}

function bandOf(steps, spread, from, x, y, log) {
  const upper = [], lower = [];
  for (let i = from; i < steps.length; i++) {
    const known = spread[i].filter((value) => Number.isFinite(value) && (!log || value > 0)).sort((a, b) => a - b);
    if (!known.length) continue;
    upper.push(`${x(steps[i]).toFixed(1)},${y(quantile(known, 0.9)).toFixed(1)}`);
    lower.unshift(`${x(steps[i]).toFixed(1)},${y(quantile(known, 0.1)).toFixed(1)}`);
  }
  return upper.length ? `M${[...upper, ...lower].join("L")}Z` : "";
}

function stroke(color, dash, text) {
  const line = svg("line", { x1: 0, x2: 22, y1: 6, y2: 6, stroke: color, "stroke-width": 2.2, "stroke-dasharray": dash });
  return el("span", {}, svg("svg", { width: 22, height: 12 }, line), text);
}

function readValues(stage, drawn, view, act) {
  const { root, pointer, shown, steps, from, x, y, sweep } = drawn;
  const place = { record: steps.length - 1, line: 0 };
  const tell = () => {
    const line = shown[place.line], value = line.values[place.record], at = x(steps[place.record]);
    const known = Number.isFinite(value) && (!view.logY || value > 0);
    pointer.replaceChildren(svg("line", { x1: at, x2: at, y1: drawn.top, y2: drawn.bottom, stroke: "#999", "stroke-width": 0.8 }),
      svg("path", { d: pathOf(steps, line.values, from, x, y, view.logY, line.variable.sparse), class: "curve", stroke: "#000", "stroke-width": 1.2 }),
      ...(known ? [svg("circle", { cx: at, cy: y(value), r: 3.5, fill: "#000" })] : []));
    const inner = line.variable.inner.map((dim, i) => `, ${dim.name} ${dim.texts[line.inner[i] || 0]}`).join("");
    act.read(`Step ${steps[place.record]}, ${line.variable.label}${inner}: ${exactly(value, sweep.digits)}. Run ${line.run} (${sweep.words(line.run)}), ${sweep.ending(line.run)}.`);
  };
  stage.onpointermove = (event) => {
    const box = root.getBoundingClientRect(), scale = root.viewBox.baseVal.width / box.width;
    const px = (event.clientX - box.left) * scale, py = (event.clientY - box.top) * scale;
    place.record = from;
    for (let i = from; i < steps.length; i++) if (Math.abs(x(steps[i]) - px) < Math.abs(x(steps[place.record]) - px)) place.record = i;
    let least = Infinity;
    shown.forEach((line, i) => {
      const value = line.values[place.record], far = Math.abs(y(value) - py);
      if (far < least) [least, place.line] = [far, i];
    });
    tell();
  };
  stage.onkeydown = (event) => {
    if (event.key === "ArrowLeft") place.record = Math.max(from, place.record - 1);
    else if (event.key === "ArrowRight") place.record = Math.min(steps.length - 1, place.record + 1);
    else if (event.key === "ArrowUp") place.line = (place.line + 1) % shown.length;
    else if (event.key === "ArrowDown") place.line = (place.line + shown.length - 1) % shown.length;
    else return;
    event.preventDefault();
    tell();
  };
}
