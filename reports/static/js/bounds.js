// Worst error seen beside the largest allowed, on a logarithmic axis, with the same as a table.
function boundRows(rows) {
  return rows.filter((i) => C.worst[i] !== null && C.allowed[i] !== null).map((i) => ({
    oracle: T.oracle[C.oracle[i]], dtypes: dtypesText[C.dtypes[i]], names: T.dtypes[C.dtypes[i]], backend: T.backend[C.backend[i]],
    worst: Number(C.worst[i]), allowed: Number(C.allowed[i]), unit: T.unit[C.unit[i]], op: T.op[C.op[i]],
    text: String(C.worst[i]),
  }));
}

// rows: {label, points: [{x, over, title}]}; x is error / allowed. The line at 1 is the bound.
function ratioPlot(rows, describe) {
  // Text keeps its size: a narrow window gets a narrower plot, not a smaller one.
  const width = Math.max(300, Math.min(860, document.getElementById("view").clientWidth));
  const left = 14 + 6.7 * Math.max(...rows.map((r) => r.label.length)), right = 26;
  const lanes = [...new Set(rows.flatMap((r) => r.points.map((p) => p.place)))].sort((a, b) => a - b);
  const row = 16 + 5 * Math.min(lanes.length, 6), top = 26, height = top + rows.length * row + 18;
  const finite = rows.flatMap((r) => r.points.map((p) => p.x)).filter((x) => x > 0 && Number.isFinite(x));
  // Beyond a thousand times the bound, and below a ten-thousandth of it, how far no longer matters.
  const lo = Math.max(-4, Math.floor(Math.log10(Math.min(0.1, ...finite))));
  const hi = Math.min(3, Math.max(1, Math.ceil(Math.log10(Math.max(1, ...finite)))));
  const beyond = rows.some((r) => r.points.some((p) => p.x > 10 ** hi));
  const zero = left + 14, start = left + 40, end = width - right - (beyond ? 48 : 0);
  const at = (x) => {
    if (x === 0) return zero;
    if (!(x <= 10 ** hi)) return width - right;
    return start + (Math.max(0, Math.log10(x) - lo) / (hi - lo)) * (end - start);
  };
  const svg = h("svg.plot", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe });
  svg.append(h("line.grid", { x1: zero, x2: zero, y1: top - 6, y2: height - 14 }),
    h("text", { x: zero, y: top - 12, "text-anchor": "middle" }, "0"));
  if (beyond) {
    svg.append(h("line.grid", { x1: width - right, x2: width - right, y1: top - 6, y2: height - 14 }),
      h("text", { x: width - right, y: top - 12, "text-anchor": "middle" }, "more"));
  }
  const every = Math.ceil(34 / ((end - start) / (hi - lo)));
  for (let e = lo; e <= hi; e++) {
    const x = at(10 ** e);
    const named = e === 0 || (e % every === 0 && Math.abs(x - at(1)) > 46);
    append(svg, [h(e === 0 ? "line.limit" : "line.grid", { x1: x, x2: x, y1: top - 6, y2: height - 14 }),
      named && h("text", { x, y: top - 12, "text-anchor": "middle" }, e === 0 ? "allowed" : e > 0 ? `${10 ** e}×` : e >= -3 ? `${10 ** e}` : `1e${e}`)]);
  }
  rows.forEach((r, n) => {
    const y = top + n * row + row / 2;
    const label = h("text.row", { x: 0, y: y + 4 }, r.label);
    svg.append(r.href ? h("a", { href: r.href }, label) : label,
      h("line.span", { x1: zero, x2: Math.max(...r.points.map((p) => at(p.x))), y1: y, y2: y }));
    for (const p of r.points) {
      // Backends lie a little apart, so that equal errors do not hide each other.
      const x = at(p.x), off = 5 * (lanes.indexOf(p.place) - (lanes.length - 1) / 2), kind = p.over ? "over" : "in";
      const shape = dotShape(p.place, x, y + off, kind);
      shape.append(h("title", null, p.title));
      svg.append(shape);
    }
  });
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": describe }, svg);
}

// Backends differ in shape as well as in the table beside the plot.
function dotShape(place, x, y, kind) {
  const cls = `${kind === "over" ? ".dot.over" : ".dot"}`;
  if (place % 4 === 0) return h(`circle${cls}`, { cx: x, cy: y, r: 4 });
  if (place % 4 === 1) return h(`rect${cls}`, { x: x - 3.6, y: y - 3.6, width: 7.2, height: 7.2 });
  if (place % 4 === 2) return h(`path${cls}`, { d: `M${x} ${y - 5}L${x + 5} ${y + 4}L${x - 5} ${y + 4}Z` });
  return h(`path${cls}`, { d: `M${x} ${y - 5.4}L${x + 5.4} ${y}L${x} ${y + 5.4}L${x - 5.4} ${y}Z` });
}

function shapeKey(names) {
  return h("p.key", null, [...names].sort((a, b) => backends.indexOf(a) - backends.indexOf(b)).map((name) => {
    const svg = h("svg", { width: 14, height: 14, viewBox: "0 0 14 14", class: "plot-key", "aria-hidden": "true" },
      dotShape(backends.indexOf(name), 7, 7, "in"));
    return h("span", null, svg, " ", h("b", null, name));
  }));
}

const ratio = (r) => (r.allowed > 0 ? r.worst / r.allowed : r.worst === 0 ? 0 : Infinity);
const dotOf = (r) => ({
  x: ratio(r), over: ratio(r) > 1, place: backends.indexOf(r.backend),
  title: `${r.backend} ${r.dtypes}: ${r.text} of ${r.allowed} ${r.unit}`,
});

function boundsOf(rows) {
  const found = boundRows(rows);
  if (!found.length) return h("p.soft", null, "No question about this operation has a numeric bound.");
  const groups = groupBy(found, (r) => r.oracle);
  return [shapeKey([...new Set(found.map((r) => r.backend))]),
    ...[...groups].sort(byOracle).map(([oracle, list]) => {
      const byDtype = groupBy(list.sort((a, b) => byDtypes(a.names, b.names)), (r) => r.dtypes);
      return h("div", null, h("h3", null, words(oracle), h("span.soft", null, `, bound: ${[...new Set(list.map((r) => r.unit))].join(", ")}`)),
        ratioPlot([...byDtype].map(([label, rs]) => ({ label, points: rs.map(dotOf) })),
          `${oracle}: worst error over allowed, per dtype and backend; the table below has the numbers`),
        h("details", null, h("summary", null, "As a table"),
          table(["dtypes", "Backend", "Worst seen", "Allowed", "Unit"],
            list.map((r) => [r.dtypes, h("span.mono", null, r.backend), r.text, String(r.allowed), r.unit]),
            { numeric: [2, 3] })));
    })];
}

const byOracle = ([a], [b]) => oracles.indexOf(a) - oracles.indexOf(b);

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) {
    const k = key(item);
    if (groups.has(k)) groups.get(k).push(item); else groups.set(k, [item]);
  }
  return groups;
}

function boundsView(host) {
  host.append(viewHead("Bounds", "How much of its bound each operation uses, at its worst dtype: 0 is the correctly rounded result, right of the line fails."));
  const found = boundRows([...Array(size).keys()]).filter((r) => !isScenario(r.op));
  if (!found.length) {
    host.append(h("p.soft", null, "No answer of this run has a numeric bound."));
    return;
  }
  host.append(shapeKey([...new Set(found.map((r) => r.backend))]));
  for (const [oracle, list] of [...groupBy(found, (r) => r.oracle)].sort(byOracle)) {
    const rows = [...groupBy(list, (r) => r.op)].map(([op, rs]) => {
      const worst = [...groupBy(rs, (r) => r.backend).values()]
        .map((same) => same.reduce((a, b) => (ratio(b) > ratio(a) ? b : a)));
      return { label: op, href: toOp(op), points: worst.map(dotOf), worst, most: Math.max(...worst.map(ratio)) };
    }).filter((r) => r.most > 0).sort((a, b) => b.most - a.most);
    if (!rows.length) continue;
    host.append(section(words(oracle), core.vocabulary.oracles[oracle],
      ratioPlot(rows, `${oracle}: worst error over allowed, per operation and backend; the table below has the numbers`),
      h("details", null, h("summary", null, "As a table"),
        table(["Operation", "Backend", "dtypes", "Worst seen", "Allowed", "Unit"],
          rows.flatMap((r) => r.worst.map((w) => [h("a", { href: toOp(w.op) }, w.op), w.backend, w.dtypes, w.text, String(w.allowed), w.unit])),
          { numeric: [3, 4] }))));
  }
}
