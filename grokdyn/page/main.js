// What the page shows now, its controls, and what changes when one of them does.

// So many runs that differ by their seed alone are shown together at first.
const FEW = 64;

function firstView(sweep) {
  const long = sweep.axes.filter((axis) => axis.texts.length > 1 && axis.name !== "seed" && axis.name !== "run");
  const others = sweep.axes.filter((axis) => axis.texts.length > 1 && !long.includes(axis));
  const wide = long.filter((axis) => axis.texts.length > 2).length > 1 ? long.filter((axis) => axis.texts.length > 2) : long;
  const x = wide[wide.length - 1] || others[0] || sweep.axes[0];
  const up = wide[wide.length - 2], groups = [...curveGroups(sweep).keys()];
  const view = { quantity: firstQuantity(sweep), record: END, how: "", x: x.name, y: up ? up.name : "", facet: "", fixed: {}, inner: {}, chosen: [], curves: groups[0], colour: "", spread: "" };
  view.logX = sweep.steps.length > 2 && sweep.steps[sweep.steps.length - 1] > 30 * Math.max(sweep.steps.find((step) => step > 0) || 1, 1);
  if (!view.y && view.quantity === "phase") view.quantity = "test_accuracy";
  view.logY = view.curves === "loss*";
  const times = spreadQuantities(sweep, view);
  view.spread = (times.find(([name]) => name === "step_test") || times[0])[0];
  return view;
}

class Explorer {
  constructor(host, sweep) {
    Object.assign(this, { host, sweep, view: firstView(sweep) });
    this.act = { choose: (cell, more) => this.choose(cell, more), say: (text) => (this.said.textContent = text), read: (text) => (this.curveSaid.textContent = text) };
  }

  async begin() {
    const { sweep, view } = this;
    await sweep.begin();
    await sweep.values(view.quantity);
    this.build();
    await this.loadCurves();
    this.showMap();
    this.chooseFirst();
  }

  build() {
    const stage = (id) => el("div", { class: "stage", tabindex: 0, id, role: "application" });
    const part = (id) => (this[id] = el("div", { id: `${id}-${this.sweep.number}`, class: id.endsWith("Controls") ? "controls" : "legend" }));
    this.mapStage = stage("map");
    this.curveStage = stage("curves");
    this.spreadStage = stage("spread");
    this.said = el("p", { class: "readout", "aria-live": "polite", id: "map-says" });
    this.curveSaid = el("p", { class: "readout", "aria-live": "polite", id: "curves-say" });
    this.chosenSaid = el("p", { class: "readout", id: "chosen" });
    this.curveNote = el("p", { class: "note" });
    this.tableHost = el("div", { id: "runs" });
    const single = this.sweep.runs === 1;
    const map = el("section", { class: "panel", hidden: single }, el("h3", {}, "Diagram"), part("mapControls"), this.mapStage, part("mapLegend"), this.said,
      el("p", { class: "note" }, "Click a cell for its curves, with Ctrl or Shift to compare several. By keyboard: arrows, Enter, Shift+Enter."));
    const curves = el("section", { class: "panel curves" }, el("h3", {}, "Curves"), part("curveControls"), this.curveStage, part("curveLegend"), this.curveNote, this.chosenSaid, this.curveSaid);
    const spread = el("section", { class: "panel", hidden: single }, el("h3", {}, "Spread over runs"), part("spreadControls"), this.spreadStage, part("spreadLegend"));
    this.host.replaceChildren(el("div", { class: single ? "panels single" : "panels" }, map, curves, spread), el("h3", {}, "Runs"), this.tableHost);
    this.controls();
  }

  controls() {
    const { sweep, view } = this;
    const set = (change) => this.changed(change);
    const axes = sweep.axes.filter((axis) => axis.texts.length > 1 || sweep.axes.length === 1).map((axis) => [axis.name, axis.label]);
    const quantity = new Quantity(sweep, view);
    const map = [
      choice("shows", quantities(sweep), view.quantity, (value) => set({ quantity: value, how: "" })),
      ...this.innerChoices(view.quantity, false),
      choice("across", axes, view.x, (value) => set({ x: value, y: value === view.y ? "" : view.y, facet: value === view.facet ? "" : view.facet })),
      choice("up", [["", "the value itself"], ...axes.filter(([name]) => name !== view.x)], view.y, (value) => set({ y: value, facet: value === view.facet ? "" : view.facet })),
      choice("panels by", [["", "–"], ...axes.filter(([name]) => name !== view.x && name !== view.y && sweep.axes.find((axis) => axis.name === name).texts.length <= 16)], view.facet, (value) => set({ facet: value })),
    ];
    if (!quantity.classes) map.push(choice("runs of a cell", [["mean", "mean"], ["median", "median"], ["min", "smallest"], ["max", "largest"]], quantity.how, (value) => set({ how: value })));
    for (const axis of sweep.axes.filter((one) => free(view, one) && sweep.runs > 1 && one.name !== "run")) {
      map.push(choice(axis.label, [[-1, "all"], ...axis.texts.map((text, i) => [i, text])], view.fixed[axis.name] ?? -1, (value) => set({ fixed: { ...view.fixed, [axis.name]: Number(value) } })));
    }
    if (quantity.variable.recorded && sweep.steps.length > 1) map.push(this.slider());
    this.mapControls.replaceChildren(...map);
    const groups = [...curveGroups(sweep)].map(([name, group]) => [name, group.label]);
    const colours = [["", view.chosen.length > 1 ? "cell" : "part or variable"], ["cell", "cell"], ...sweep.axes.filter((axis) => axis.texts.length > 1 && axis.texts.length <= 12).map((axis) => [axis.name, axis.label])];
    this.curveControls.replaceChildren(
      ...(groups.length ? [choice("shows", groups, view.curves, (value) => set({ curves: value, logY: value === "loss*" }))] : []),
      ...(groups.length && !view.curves.endsWith("*") ? this.innerChoices(view.curves, true) : []),
      ...(sweep.runs > 1 ? [choice("colour by", colours, view.colour, (value) => set({ colour: value }))] : []),
      tick("log steps", view.logX, (value) => set({ logX: value })),
      tick("log values", view.logY, (value) => set({ logY: value })),
      el("button", { type: "button", id: "save-curves", onclick: () => this.saveCurves() }, "Records as CSV"),
      ...(sweep.runs > 1 && sweep.runs <= 400 ? [el("button", { type: "button", onclick: () => this.choose({ key: "all", runs: sweep.all, label: "all runs" }) }, "All runs")] : []),
    );
    this.spreadControls.replaceChildren(choice("of", spreadQuantities(sweep, view), view.spread, (value) => set({ spread: value })));
  }

  // The axes of a probe: which of its numbers is meant; of curves also each of them.
  innerChoices(name, curves) {
    const variable = this.sweep.byName.get(name), now = this.view.inner[name] || variable.inner.map(() => 0);
    return variable.inner.map((dim, i) => {
      const entries = dim.texts.map((text, at) => [at, text]);
      if (curves && i === variable.inner.length - 1 && dim.texts.length <= 24) entries.unshift([EACH, "each"]);
      return choice(dim.name, entries, now[i], (value) => this.changed({ inner: { ...this.view.inner, [name]: now.map((was, at) => (at === i ? Number(value) : was)) } }));
    });
  }

  slider() {
    const { sweep, view } = this, last = sweep.steps.length;
    const words = (record) => (record === END ? "end of each run" : `step ${sweep.steps[record]}`);
    const told = el("span", {}, words(view.record));
    const range = el("input", { type: "range", id: "step", min: 0, max: last, value: view.record === END ? last : view.record, "aria-label": "step" });
    range.setAttribute("aria-valuetext", words(view.record));
    range.oninput = () => {
      view.record = Number(range.value) === last ? END : Number(range.value);
      told.textContent = words(view.record);
      range.setAttribute("aria-valuetext", words(view.record));
      this.showMap();
      this.showSpread();
    };
    return el("label", { class: "choice" }, told, range);
  }

  async changed(change) {
    Object.assign(this.view, change);
    await this.sweep.values(this.view.quantity);
    await this.loadCurves();
    this.controls();
    this.showMap();
    this.showCurves();
    this.showSpread();
  }

  async loadCurves() {
    const group = curveGroups(this.sweep).get(this.view.curves);
    if (group) for (const name of group.names) await this.sweep.values(name);
  }

  choose(cell, more = false) {
    const { view } = this, there = view.chosen.findIndex((one) => one.key === cell.key);
    if (!more) view.chosen = [cell];
    else if (there >= 0 && view.chosen.length > 1) view.chosen.splice(there, 1);
    else if (there < 0) view.chosen = [...view.chosen, cell].slice(-LETTERS.length);
    if (this.map) {
      this.map.cursor = null;
      markChosen(this.map, view);
    }
    this.showCurves();
    this.showSpread();
  }

  // At first the runs that a reader looks for: the cell that groks most, else the middle one.
  chooseFirst() {
    const { sweep, map } = this;
    if (sweep.runs === 1 || !map) return this.choose({ key: "all", runs: sweep.all, label: sweep.runs === 1 ? "the run" : "all runs" });
    if (sweep.runs <= FEW && !sweep.axes.some((axis) => axis.texts.length > 1 && axis.name !== "seed")) return this.choose({ key: "all", runs: sweep.all, label: "all runs" });
    const places = map.drawn.flatMap((panel) => panel.cells.map((cell) => ({ panel, cell })));
    const codes = sweep.byName.has("phase") ? (cell) => cell.runs.filter((run) => sweep.one("phase", run) === 1).length : () => 0;
    const best = places.reduce((one, other) => (codes(other.cell) > codes(one.cell) ? other : one), places[Math.floor(places.length / 2)]);
    this.choose({ key: keyOf(best.panel, best.cell), runs: best.cell.runs, label: labelOf(map.found, best.panel, best.cell) });
  }

  showMap() {
    if (this.sweep.runs === 1) return;
    this.map = drawMap(this.mapStage, this.sweep, this.view, this.act);
    this.mapLegend.replaceChildren(...mapLegend(this.map));
  }

  showCurves() {
    const { sweep, view } = this, group = curveGroups(sweep).get(view.curves);
    if (!group) return this.curveStage.replaceChildren(el("p", { class: "note" }, "This sweep has no variable with records."));
    const { legend, note } = drawCurves(this.curveStage, sweep, view, group, this.act);
    this.curveLegend.replaceChildren(...legend);
    this.curveNote.textContent = note;
    this.chosenSaid.textContent = view.chosen.map((chosen) => `${chosen.label}: ${chosen.runs.length} run${chosen.runs.length === 1 ? "" : "s"}; ${finals(sweep, group, chosen.runs)}`).join(" — ");
    this.curveSaid.textContent = "";
  }

  showSpread() {
    if (this.sweep.runs === 1) return;
    this.spreadLegend.replaceChildren(...drawSpread(this.spreadStage, this.sweep, this.view, this.act));
  }

  async showTable() {
    this.table = new RunTable(this.tableHost, this.sweep, await columnsOf(this.sweep), this.act);
  }

  saveCurves() {
    const { sweep, view } = this, group = curveGroups(sweep).get(view.curves);
    if (!group) return;
    const axes = sweep.axes.filter((axis) => axis.name !== "run");
    const rows = [["run", ...axes.map((axis) => axis.name), "variable", "step", "value"]];
    for (const line of lines(sweep, view, group)) {
      const name = line.name + line.variable.inner.map((dim, i) => `[${dim.name}=${dim.texts[line.inner[i] || 0]}]`).join("");
      const head = [line.run, ...axes.map((axis) => axis.texts[axis.index[line.run]]), name];
      const values = sweep.curve(line.name, line.run, line.inner);
      sweep.steps.forEach((step, i) => Number.isNaN(values[i]) || rows.push([...head, step, exactly(values[i], sweep.digits)]));
    }
    download(`${sweep.name}_records.csv`, csv(rows));
  }
}

// What a chosen run ended with; of several, their median.
function finals(sweep, group, runs) {
  const told = group.names.filter((name) => !sweep.byName.get(name).inner.length).map((name) => {
    const values = Array.from(runs, (run) => sweep.at(sweep.byName.get(name), run, END, []));
    const known = values.filter((value) => !Number.isNaN(value)).length;
    return `${sweep.byName.get(name).label} at the end ${exactly(reduced(values, "median"), sweep.digits)}${runs.length > 1 ? ` (median of ${known})` : ""}`;
  });
  return [...told, runs.length === 1 ? sweep.ending(runs[0]) : endings(sweep, runs)].filter(Boolean).join(", ");
}

function endings(sweep, runs) {
  const list = Array.from(runs), diverged = list.filter((run) => sweep.diverged(run)).length;
  const absent = list.filter((run) => !sweep.begunRun(run)).length;
  return [diverged ? `${diverged} diverged` : "", absent ? `${absent} without results` : ""].filter(Boolean).join(", ");
}

const about = JSON.parse(byId("about").textContent);
const explorers = new Map();

async function show(number) {
  document.querySelectorAll("[data-sweep]").forEach((part) => (part.hidden = Number(part.dataset.sweep) !== number));
  document.querySelectorAll("nav button").forEach((button, i) => button.setAttribute("aria-pressed", i === number));
  if (explorers.has(number)) return;
  const host = document.querySelector(`[data-sweep="${number}"] .explorer`);
  const explorer = new Explorer(host, new Sweep(about.sweeps[number], number));
  explorers.set(number, explorer);
  document.body.dataset.state = "reading";
  try {
    await explorer.begin();
    document.body.dataset.state = "drawn";
    await new Promise((done) => setTimeout(done, 30));
    await explorer.showTable();
    document.body.dataset.state = "ready";
  } catch (error) {
    host.append(el("p", { class: "problem" }, `This part of the page could not be drawn: ${error.message}`));
    document.body.dataset.state = "failed";
    throw error;
  }
}

function start() {
  if (!("DecompressionStream" in window)) {
    byId("old").hidden = false;
    return;
  }
  document.querySelectorAll("nav button").forEach((button, i) => button.addEventListener("click", () => show(i)));
  let wait = 0;
  window.addEventListener("resize", () => {
    clearTimeout(wait);
    wait = setTimeout(() => explorers.forEach((one) => one.host.closest("[hidden]") || (one.showMap(), one.showCurves(), one.showSpread())), 120);
  });
  if (about.sweeps.length) show(0);
}

start();
