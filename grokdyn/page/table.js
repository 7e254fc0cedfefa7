// One line for every run: filtered, sorted, saved as CSV.

const ROWS = 25;
const COMPARED = { ">=": (a, b) => a >= b, "<=": (a, b) => a <= b, "!=": (a, b) => a !== b, ">": (a, b) => a > b, "<": (a, b) => a < b, "=": (a, b) => a === b };

// Columns: name, words in the head, the number or text of a run. Reads all that is recorded.
async function columnsOf(sweep) {
  const columns = [{ name: "run", label: "run", of: (run) => run }];
  for (const axis of sweep.axes) {
    if (axis.name === "run") continue;
    columns.push({ name: axis.name, label: axis.label, of: (run) => (axis.numbers ? axis.numbers[axis.index[run]] : axis.texts[axis.index[run]]), text: (run) => axis.texts[axis.index[run]] });
  }
  columns.push({ name: "ended", label: "ended", of: (run) => sweep.ending(run) });
  for (const variable of sweep.variables) {
    if (["status", "last_step", "diverged_at", "stopped_at"].includes(variable.name) || variable.inner.length) continue;
    await sweep.values(variable.name);
    const quantity = new Quantity(sweep, { quantity: variable.name, record: END, inner: {} });
    if (quantity.classes) {
      columns.push({ name: variable.name, label: variable.label, of: (run) => quantity.classes[quantity.of(run)] || "–" });
    } else {
      const digits = variable.recorded ? sweep.digits : 0;
      columns.push({ name: variable.name, label: variable.recorded ? `${variable.label}, end` : variable.label, of: (run) => quantity.of(run), text: (run) => told(quantity, quantity.of(run), digits) });
    }
  }
  return columns;
}

function told(quantity, value, digits) {
  return quantity.isTime && value === Infinity ? "not reached" : exactly(value, digits);
}

const textOf = (column, run) => (column.text ? column.text(run) : String(column.of(run)));

// A filter: words, all of which a line has, and comparisons such as weight_decay>=1.
function filterOf(columns, text) {
  const terms = text.match(/\S+/g) || [];
  const tests = terms.map((term) => {
    const [, name, sign, value] = term.match(/^([^<>=!]+)(>=|<=|!=|>|<|=)(.*)$/) || [];
    if (!sign) return (run) => columns.some((column) => textOf(column, run).toLowerCase().includes(term.toLowerCase()));
    const column = columns.find((one) => one.name === name || one.label.replaceAll(" ", "_") === name);
    if (!column) throw new Error(`${name}: no such column; there are ${columns.map((one) => one.name).join(", ")}`);
    const number = Number(value), compare = COMPARED[sign];
    if (value !== "" && !Number.isNaN(number)) return (run) => compare(Number(column.of(run)), number);
    return (run) => compare(textOf(column, run).toLowerCase(), value.toLowerCase());
  });
  return (run) => tests.every((test) => test(run));
}

function sortedRuns(runs, column, down) {
  const key = (run) => {
    const value = column.of(run);
    return typeof value === "number" && Number.isNaN(value) ? null : value;
  };
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1) || a - b;
  };
  return runs.sort(compare);
}

class RunTable {
  constructor(host, sweep, columns, act) {
    Object.assign(this, { host, sweep, columns, act, sort: columns[0], down: false, page: 0, text: "" });
    this.body = el("tbody", {});
    this.head = el("tr", {}, ...columns.map((column) => this.headCell(column)));
    this.problem = el("p", { class: "problem", role: "alert" });
    this.count = el("span", { "aria-live": "polite" });
    const search = el("input", { type: "search", id: "filter", size: 42, placeholder: "e.g. diverged, or weight_decay>=1 seed=0", "aria-label": "filter runs", oninput: () => this.filter(search.value) });
    this.before = el("button", { type: "button", onclick: () => this.turn(-1) }, "← before");
    this.after = el("button", { type: "button", onclick: () => this.turn(1) }, "after →");
    const save = el("button", { type: "button", id: "save-runs", onclick: () => this.save() }, "These runs as CSV");
    const bar = el("div", { class: "pager" }, el("label", {}, "filter ", search), this.before, this.count, this.after, save);
    const table = el("table", { class: "runs" }, el("thead", {}, this.head), this.body);
    host.replaceChildren(bar, this.problem, el("div", { class: "wide" }, table));
    this.filter("");
  }

  headCell(column) {
    const button = el("button", { type: "button", onclick: () => this.sortBy(column) }, column.label);
    return el("th", { scope: "col", "data-column": column.name, "aria-sort": "none" }, button);
  }

  sortBy(column) {
    this.down = this.sort === column ? !this.down : false;
    this.sort = column;
    this.show();
  }

  filter(text) {
    this.text = text;
    try {
      this.runs = Array.from(this.sweep.all).filter(filterOf(this.columns, text));
      this.problem.textContent = "";
    } catch (error) {
      this.problem.textContent = error.message;
    }
    this.page = 0;
    this.show();
  }

  turn(by) {
    this.page += by;
    this.show();
  }

  show() {
    sortedRuns(this.runs, this.sort, this.down);
    const pages = Math.max(1, Math.ceil(this.runs.length / ROWS)), first = this.page * ROWS;
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page >= pages - 1;
    const last = Math.min(first + ROWS, this.runs.length);
    this.count.textContent = this.runs.length ? `${first + 1}–${last} of ${this.runs.length} runs` : "no runs";
    for (const cell of this.head.children) {
      const on = cell.dataset.column === this.sort.name;
      cell.setAttribute("aria-sort", on ? (this.down ? "descending" : "ascending") : "none");
    }
    this.body.replaceChildren(...this.runs.slice(first, last).map((run) => this.row(run)));
  }

  row(run) {
    const pick = (event) => this.act.choose({ key: `run|${run}`, runs: [run], label: `run ${run} (${this.sweep.words(run)})` }, event.ctrlKey || event.metaKey || event.shiftKey);
    const keys = (event) => event.key === "Enter" && pick(event);
    return el("tr", { tabindex: 0, onclick: pick, onkeydown: keys }, ...this.columns.map((column) => el("td", {}, textOf(column, run))));
  }

  save() {
    const rows = [this.columns.map((column) => column.name), ...this.runs.map((run) => this.columns.map((column) => textOf(column, run)))];
    download(`${this.sweep.name}_runs.csv`, csv(rows));
  }
}
