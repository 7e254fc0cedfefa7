// A sweep: where its runs are on every axis, what was recorded of them, and numbers of cells of runs.

class Sweep {
  constructor(told, number) {
    Object.assign(this, told);
    this.number = number;
    this.held = new Map();
    this.byName = new Map(this.variables.map((variable) => [variable.name, variable]));
    this.all = Int32Array.from({ length: this.runs }, (_, i) => i);
  }

  id(block) {
    return `b${this.number}_${block}`;
  }

  async begin() {
    if (this.begun) return;
    for (const axis of this.axes) axis.index = await exact(this.id(axis.block));
    for (const variable of this.variables) if (!variable.recorded) await this.values(variable.name);
    this.begun = true;
  }

  // All numbers of a variable: [runs, records, ...] or [runs].
  async values(name) {
    if (!this.held.has(name)) {
      const { block, recorded } = this.byName.get(name);
      this.held.set(name, await (recorded ? decimals(this.id(block), this.digits) : exact(this.id(block))));
    }
    return this.held.get(name);
  }

  one(name, run) {
    const values = this.held.get(name);
    return values ? values[run] : NaN;
  }

  diverged(run) {
    return this.one("status", run) > 0;
  }

  stopped(run) {
    return this.one("stopped_at", run) >= 0;
  }

  begunRun(run) {
    return Number.isFinite(this.one("last_step", run)) || this.diverged(run);
  }

  // How a run ended, in words.
  ending(run) {
    if (this.diverged(run)) return `diverged at ${exactly(this.one("diverged_at", run))}`;
    if (this.stopped(run)) return `stopped by a rule at ${exactly(this.one("stopped_at", run))}`;
    if (!this.begunRun(run)) return "no results";
    const last = this.one("last_step", run);
    if (this.one("status", run) < 0) return `in training, or lost, after ${exactly(last)}`;
    return `ran to ${exactly(last)}`;
  }

  // Where a run's numbers at the chosen inner indices lie: [first, between records].
  strideOf(variable, inner) {
    const sizes = variable.inner.map((dim) => dim.texts.length);
    const size = sizes.reduce((a, b) => a * b, 1);
    const offset = sizes.reduce((sum, n, i) => sum * n + Math.min(inner[i] || 0, n - 1), 0);
    return { offset, size };
  }

  curve(name, run, inner = []) {
    const variable = this.byName.get(name), values = this.held.get(name);
    const { offset, size } = this.strideOf(variable, inner), records = this.steps.length;
    return Float64Array.from({ length: records }, (_, i) => values[(run * records + i) * size + offset]);
  }

  // A run's number at a record, or its last finite one; a run that a rule ended keeps its last.
  at(variable, run, record, inner) {
    const values = this.held.get(variable.name);
    if (!variable.recorded) return values[run];
    if (variable.kind !== "time" && this.diverged(run)) return NaN;
    const { offset, size } = this.strideOf(variable, inner), records = this.steps.length;
    const place = (i) => values[(run * records + i) * size + offset];
    if (record >= 0 && !(this.stopped(run) && this.steps[record] > this.one("stopped_at", run))) return place(record);
    for (let i = record >= 0 ? record : records - 1; i >= 0; i--) if (Number.isFinite(place(i))) return place(i);
    return NaN;
  }

  // How a time counts: a run that never got there is later than all others, one without records is unknown.
  time(name, run) {
    const value = this.one(name, run);
    return Number.isNaN(value) && this.begunRun(run) ? Infinity : value;
  }

  words(run, axes = this.axes) {
    return axes.map((axis) => `${axis.label} ${axis.texts[axis.index[run]]}`).join(", ");
  }
}

function quantile(sorted, q) {
  const at = q * (sorted.length - 1), low = Math.floor(at), high = Math.min(low + 1, sorted.length - 1);
  if (sorted[low] === Infinity || (sorted[high] === Infinity && at > low)) return Infinity;
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

// One number of many runs; those without one are left out.
function reduced(values, how) {
  const known = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  if (!known.length) return NaN;
  if (how === "min") return known[0];
  if (how === "max") return known[known.length - 1];
  if (how === "median") return quantile(known, 0.5);
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

// The commonest class, ties going to the larger code, and the second, with their shares.
function majority(codes) {
  const counts = new Map();
  for (const code of codes) if (code >= 0) counts.set(code, (counts.get(code) || 0) + 1);
  const ranked = [...counts].sort((a, b) => b[1] - a[1] || b[0] - a[0]);
  const total = ranked.reduce((sum, [, n]) => sum + n, 0);
  const [first, second] = ranked;
  return { first: first ? first[0] : -1, second: second ? second[0] : -1, share: second ? second[1] / total : 0 };
}
