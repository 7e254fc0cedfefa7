// Elements and numbers as text. Text is set as text, never as markup: labels come from whoever wrote the spec.

const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const byId = (id) => document.getElementById(id);

// A number with the digits that it is held to, and no zeros behind them.
function exactly(value, digits) {
  if (value === Infinity) return "inf";
  if (value === -Infinity) return "-inf";
  if (Number.isNaN(value)) return "–";
  return digits ? String(Number(value.toPrecision(digits))) : String(value);
}

// A number for the end of an axis or a cell: what a reader takes in at a glance.
function shortly(value) {
  if (!Number.isFinite(value)) return value === Infinity ? "∞" : "–";
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(1).replace(/\.0e/, "e").replace("e+", "e");
  if (size >= 1000) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}

function options(select, entries, chosen) {
  select.replaceChildren(
    ...entries.map(([value, label]) => el("option", { value, selected: String(value) === String(chosen) }, label)),
  );
}

// A label with its select, told of every change.
function choice(label, entries, chosen, changed) {
  const select = el("select", { "aria-label": label, onchange: () => changed(select.value) });
  options(select, entries, chosen);
  return el("label", { class: "choice" }, el("span", {}, label), select);
}

function tick(label, checked, changed) {
  const box = el("input", { type: "checkbox", checked, onchange: () => changed(box.checked) });
  return el("label", { class: "choice tick" }, box, el("span", {}, label));
}

function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function csv(rows) {
  const cell = (value) => (/[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
}
