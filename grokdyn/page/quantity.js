// What is shown of every run: one number, at a record or at its end; and what many runs come to together.

const END = -1, MIN_COLUMNS_OF_POINTS = 12;

function quantities(sweep) {
  const named = (variable) => [variable.name, variable.label + (variable.units && variable.units !== "1" ? ` (${variable.units})` : "")];
  const hidden = new Set(["status", "last_step"]);
  const derived = sweep.variables.filter((v) => v.kind);
  const rest = sweep.variables.filter((v) => !v.kind && !hidden.has(v.name));
  return [...derived, ...rest].map(named);
}

function firstQuantity(sweep) {
  const names = sweep.variables.map((variable) => variable.name);
  const wanted = ["phase", "test_accuracy", "test_loss", "train_loss"].find((name) => names.includes(name));
  return wanted || (sweep.variables.find((variable) => variable.recorded) || sweep.variables[0]).name;
}

class Quantity {
  constructor(sweep, view) {
    this.sweep = sweep;
    this.variable = sweep.byName.get(view.quantity);
    this.record = this.variable.recorded ? view.record : END;
    this.inner = view.inner[view.quantity] || [];
    this.classes = this.variable.kind === "phase" ? this.variable.classes : null;
    this.isTime = this.variable.kind === "time";
    this.how = view.how || (this.isTime ? "median" : "mean");
  }

  get label() {
    const { variable, sweep } = this;
    const at = !variable.recorded ? "" : this.record === END ? ", end of each run" : `, step ${sweep.steps[this.record]}`;
    const inner = variable.inner.map((dim, i) => `, ${dim.name} ${dim.texts[this.inner[i] || 0]}`).join("");
    return variable.label + inner + at;
  }

  of(run) {
    if (this.isTime && this.variable.name.startsWith("step_")) return this.sweep.time(this.variable.name, run);
    if (this.isTime) return this.sweep.begunRun(run) ? this.delay(run) : NaN;
    const value = this.sweep.at(this.variable, run, this.record, this.inner);
    return this.sentinel(value) ? NaN : value;
  }

  // A step at which nothing happened is no number to draw.
  sentinel(value) {
    return (["diverged_at", "stopped_at"].includes(this.variable.name) || this.classes) && value < 0;
  }

  delay(run) {
    const value = this.sweep.one(this.variable.name, run);
    return Number.isNaN(value) ? Infinity : value;
  }

  // What a cell of runs comes to: a number or a class, and how many of them have none.
  cell(runs) {
    const values = Array.from(runs, (run) => this.of(run));
    const never = values.filter((value) => value === Infinity).length;
    const diverged = Array.from(runs).filter((run) => this.sweep.diverged(run)).length;
    const found = this.classes ? majority(values) : { first: reduced(values, this.how), second: -1, share: 0 };
    return { value: found.first, second: found.second, share: found.share, never: this.isTime ? never : 0, diverged, values };
  }

  told(runs) {
    const found = this.cell(runs), digits = this.variable.recorded ? this.sweep.digits : 0;
    if (this.classes) {
      const counts = this.classes.map((name, code) => [name, found.values.filter((value) => value === code).length]);
      const words = counts.filter(([, n]) => n).map(([name, n]) => `${name} ${n}`).join(", ");
      return `${words || "no phase"} of ${runs.length} run${runs.length === 1 ? "" : "s"}`;
    }
    const many = runs.length > 1 ? ` (${this.how} of ${found.values.filter((v) => !Number.isNaN(v)).length} runs)` : "";
    const notes = [];
    if (found.never) notes.push(`${found.never} not within their steps`);
    if (found.diverged) notes.push(`${found.diverged} diverged`);
    const value = found.value === Infinity ? "not within the steps" : exactly(found.value, digits || 7);
    return `${this.label}: ${value}${many}${notes.length ? "; " + notes.join(", ") : ""}`;
  }

  // Colour of a value, given those of all cells.
  colours(values) {
    if (this.classes) return { color: (code) => about.colors.phases[code], classes: true };
    const accuracy = this.variable.name.endsWith("_accuracy");
    const range = accuracy ? [0, 1] : extent(values);
    if (!range) return { color: () => "#fff", range: null };
    const [low, high] = range, log = !accuracy && low > 0 && high > 5 * low;
    const share = (value) => high === low ? 0.5
      : log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return { color: (value) => ramp(accuracy ? "viridis" : "cividis_r", share(value)), range, log, name: accuracy ? "viridis" : "cividis_r" };
  }
}

// The runs that the view keeps, in cells: {panels: [{title, cells: [{column, row, runs}]}], across, up}.
function cellsOf(sweep, view) {
  const axis = (name) => sweep.axes.find((one) => one.name === name);
  const across = axis(view.x), up = axis(view.y), facet = axis(view.facet);
  const fixed = sweep.axes.filter((one) => free(view, one) && view.fixed[one.name] >= 0);
  const panels = (facet ? facet.texts : [""]).map((text) => ({ title: facet ? `${facet.label} ${text}` : "", found: new Map() }));
  const columns = across ? across.texts.length : 1;
  for (const run of sweep.all) {
    if (fixed.some((one) => one.index[run] !== view.fixed[one.name])) continue;
    const column = across ? across.index[run] : 0, row = up ? up.index[run] : 0;
    const cells = panels[facet ? facet.index[run] : 0].found, key = row * columns + column;
    if (!cells.has(key)) cells.set(key, { column, row, runs: [] });
    cells.get(key).runs.push(run);
  }
  for (const panel of panels) panel.cells = [...panel.found.values()];
  const shown = panels.filter((panel) => panel.cells.length);
  return { panels: shown, across, up, facet, kind: kindOf(shown, across, up) };
}

function free(view, axis) {
  return ![view.x, view.y, view.facet].includes(axis.name) && axis.texts.length > 1;
}

// Cells of a grid; points where few of its cells have runs; or the value itself up the axis.
function kindOf(panels, across, up) {
  if (!up) return "value";
  const cells = across.texts.length * up.texts.length, most = Math.max(...panels.map((panel) => panel.cells.length));
  const sparse = across.numbers && up.numbers && across.texts.length >= MIN_COLUMNS_OF_POINTS && most < cells / 4;
  return sparse ? "points" : "cells";
}

// A scale along an axis: at its numbers where it has some, else one place for each.
function placesOf(axis, from, to) {
  const numbers = axis.numbers && axis.numbers.every((value) => value !== null) ? axis.numbers : null;
  const values = numbers || axis.texts.map((_, i) => i);
  const [low, high] = extent(values) || [0, 1];
  const log = numbers && low > 0 && high > 30 * low;
  const pad = (high - low) * 0.04 || 0.5;
  const scale = log ? logarithmic(low / 1.2, high * 1.2, from, to) : linear(low - pad, high + pad, from, to);
  const at = (i) => scale(values[i]);
  at.ticks = () => {
    if (numbers && numbers.length > 8) return scale.ticks().map((value) => [scale(value), shortly(value)]);
    return values.map((value, i) => [scale(value), tickText(axis, i)]);
  };
  return at;
}

// A value of an axis at its place: three digits where it is a number with many.
function tickText(axis, i) {
  const long = axis.numbers && axis.numbers[i] !== null && axis.texts[i].length > 6;
  return long ? shortly(axis.numbers[i]) : shortText(axis.texts[i]);
}

function shortText(text) {
  return text.length > 14 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}
