// Places on an axis, their ticks, and colours.

function linear(low, high, from, to) {
  const span = high > low ? high - low : 1;
  const scale = (value) => from + ((value - low) / span) * (to - from);
  scale.invert = (place) => low + ((place - from) / (to - from)) * span;
  scale.ticks = () => roundTicks(low, high > low ? high : low + 1, Math.max(2, Math.abs(to - from) / 70));
  return scale;
}

function logarithmic(low, high, from, to) {
  const inner = linear(Math.log10(low), Math.log10(high), from, to);
  const scale = (value) => inner(Math.log10(value));
  scale.invert = (place) => 10 ** inner.invert(place);
  scale.ticks = () => {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const stride = Math.max(1, Math.ceil((last - first + 1) / Math.max(2, Math.abs(to - from) / 45)));
    const powers = [];
    for (let e = first; e <= last; e += stride) powers.push(10 ** e);
    return powers.length > 1 ? powers : [1, 2, 5].flatMap((d) => [d * 10 ** (first - 1), d * 10 ** first])
      .filter((t) => t >= low && t <= high).sort((a, b) => a - b);
  };
  return scale;
}

function roundTicks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((d) => d * power).find((d) => d >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

// Colours of the package's figures: [name] -> "#rrggbb" from 0 to 1.
function ramp(name, share) {
  const colors = about.colors[name], at = Math.min(1, Math.max(0, share)) * (colors.length - 1);
  const low = Math.floor(at), high = Math.min(low + 1, colors.length - 1), part = at - low;
  const mixed = [0, 1, 2].map((i) => Math.round(colors[low][i] * (1 - part) + colors[high][i] * part));
  return `rgb(${mixed.join(",")})`;
}

function inkOn(color) {
  const [r, g, b] = color.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16))
    : color.match(/\d+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#222222" : "#ffffff";
}

// Colours for n things: those of categories, or along a ramp where there are many.
function manyColors(n) {
  const cycle = about.colors.cycle;
  return Array.from({ length: n }, (_, i) => (n <= cycle.length ? cycle[i] : ramp("viridis", (0.9 * i) / (n - 1))));
}
const DASHES = ["", "5 3", "1.5 2.5", "7 2 1.5 2"];

// An empty drawing with axes: { root, plot, x, y }, where x and y are scales.
function frame(width, height, { x, y, xLabel, yLabel, margin, label }) {
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  const [top, right, bottom, left] = margin;
  const axes = svg("g", { class: "axes" });
  for (const value of x.ticks()) {
    const place = x(value);
    axes.append(svg("line", { x1: place, x2: place, y1: height - bottom, y2: height - bottom + 4 }));
    axes.append(svg("text", { x: place, y: height - bottom + 15, "text-anchor": "middle" }, shortly(value)));
  }
  for (const value of y.ticks()) {
    const place = y(value);
    axes.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: place, y2: place }));
    axes.append(svg("text", { x: left - 6, y: place + 3.5, "text-anchor": "end" }, shortly(value)));
  }
  axes.append(svg("path", { d: `M${left},${top}V${height - bottom}H${width - right}` }));
  axes.append(svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel));
  const up = `translate(12 ${(top + height - bottom) / 2}) rotate(-90)`;
  axes.append(svg("text", { transform: up, "text-anchor": "middle" }, yLabel));
  const plot = svg("g", {});
  root.append(axes, plot);
  return { root, plot };
}
