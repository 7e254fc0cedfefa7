// How a quantity spreads over runs: the share of them that is at or below a value, or that got there by a step.

function spreadQuantities(sweep, view) {
  const times = sweep.variables.filter((variable) => variable.kind === "time" && variable.name.startsWith("step_"));
  return [...times.map((variable) => [variable.name, variable.label]), ["", "as in the diagram"]];
}

// Share of runs that got there, by Aalen and Johansen: a run that diverged never will, one whose records end is
// no longer counted among those that could.
function incidence(sweep, name, runs) {
  const events = [];
  for (const run of runs) {
    if (!sweep.begunRun(run)) continue;
    const value = sweep.one(name, run), diverged = sweep.diverged(run);
    const end = diverged ? sweep.one("diverged_at", run) : sweep.one("last_step", run);
    if (Number.isFinite(value)) events.push({ at: value, kind: "there" });
    else events.push({ at: Number.isFinite(end) ? end : 0, kind: diverged ? "diverged" : "censored" });
  }
  events.sort((a, b) => a.at - b.at);
  const curve = [], counts = { there: 0, diverged: 0, censored: 0 };
  let left = events.length, free = 1, share = 0;
  for (let i = 0; i < events.length; ) {
    const at = events[i].at, now = { there: 0, diverged: 0, censored: 0 };
    while (i < events.length && events[i].at === at) now[events[i++].kind]++;
    share += (free * now.there) / left;
    free *= 1 - (now.there + now.diverged) / left;
    left -= now.there + now.diverged + now.censored;
    for (const kind of Object.keys(now)) counts[kind] += now[kind];
    curve.push({ at, share, ended: now.censored });
  }
  return { curve, counts, runs: events.length };
}

function cumulative(quantity, runs) {
  const values = Array.from(runs, (run) => quantity.of(run)).filter(Number.isFinite).sort((a, b) => a - b);
  return { curve: values.map((at, i) => ({ at, share: (i + 1) / values.length, ended: 0 })), runs: values.length, counts: null };
}

function drawSpread(stage, sweep, view, act) {
  const quantity = new Quantity(sweep, view);
  const time = view.spread || (quantity.isTime && view.quantity.startsWith("step_") ? view.quantity : "");
  const kept = cellsOf(sweep, view).panels.flatMap((panel) => panel.cells.flatMap((cell) => cell.runs));
  const groups = [{ label: "all runs of the diagram", runs: kept, color: "#9a9a9a" }];
  const colors = manyColors(Math.max(view.chosen.length, 1));
  view.chosen.forEach((chosen, i) => groups.push({ label: view.chosen.length > 1 ? `${LETTERS[i]}: ${chosen.label}` : chosen.label, runs: chosen.runs, color: colors[i] }));
  for (const group of groups) Object.assign(group, time ? incidence(sweep, time, group.runs) : cumulative(quantity, group.runs));
  const range = extent(groups.flatMap((group) => group.curve.map((point) => point.at)));
  if (!range || (quantity.classes && !time)) {
    stage.replaceChildren(el("p", { class: "note" }, quantity.classes && !time ? "Phases have no order to spread over; choose a time or a number." : "No run has a value."));
    return [];
  }
  const width = Math.max(280, stage.clientWidth || 560), height = 260, margin = [10, 22, 38, 52];
  const ends = time ? [0, sweep.steps[sweep.steps.length - 1]] : range;
  const smallest = extent(groups.flatMap((group) => group.curve.map((point) => point.at)).filter((at) => at > 0));
  const log = smallest && range[0] >= 0 && ends[1] > 30 * smallest[0];
  const pad = log ? 0 : (ends[1] - ends[0]) * 0.03 || 0.5;
  const low = log ? smallest[0] / 1.3 : ends[0] - pad, high = log ? ends[1] * 1.1 : ends[1] + pad;
  const x = (log ? logarithmic : linear)(low, high, margin[3], width - margin[1]);
  const y = linear(0, 1.03, height - margin[2], margin[0]);
  const name = time ? sweep.byName.get(time).label : quantity.label;
  const label = `share of runs over ${name}`;
  const { root, plot } = frame(width, height, { x, y, xLabel: log ? `${name} (log)` : name, yLabel: "share of runs", margin, label });
  for (const group of groups) plot.append(...stairs(group, x, y, low, high));
  stage.replaceChildren(root);
  return groups.map((group) => stroke(group.color, "", `${group.label}: ${countsOf(group)}`));
}

function stairs(group, x, y, low, high) {
  let d = `M${x(low)},${y(0)}`;
  const marks = [];
  for (const point of group.curve) {
    const at = x(Math.max(point.at, low));
    d += `H${at.toFixed(1)}V${y(point.share).toFixed(1)}`;
    if (point.ended) marks.push(svg("path", { d: `M${at},${y(point.share) - 5}v10`, stroke: group.color, "stroke-width": 1.6 }));
  }
  if (group.counts) d += `H${x(high)}`;
  return [svg("path", { d, class: "curve", stroke: group.color, "stroke-width": 2 }), ...marks];
}

function countsOf({ counts, runs }) {
  if (!counts) return `${runs} runs`;
  const parts = [`${counts.there} of ${runs} runs got there`];
  if (counts.censored) parts.push(`${counts.censored} not within their steps (tick)`);
  if (counts.diverged) parts.push(`${counts.diverged} diverged first`);
  return parts.join(", ");
}
