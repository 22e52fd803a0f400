// Operations × oracles; in a cell, one mark per backend, always in the same place.
function aggregate(f) {
  const cells = new Map(); // op -> oracle -> Map(backend -> worst verdict)
  let answers = 0;
  for (const [op, rows] of rowsOfOp) {
    if (f.text && !matchesText(op, f.text)) continue;
    for (const i of rows) {
      if (!answerPasses(i, f)) continue;
      answers += 1;
      const byOracle = cells.get(op) ?? cells.set(op, new Map()).get(op);
      const oracle = T.oracle[C.oracle[i]];
      const marks = byOracle.get(oracle) ?? byOracle.set(oracle, new Map()).get(oracle);
      const backend = T.backend[C.backend[i]];
      const before = marks.get(backend);
      if (before === undefined || sevOfVerdict[C.verdict[i]] < sevOfVerdict[before]) {
        marks.set(backend, C.verdict[i]);
      }
    }
  }
  return { cells, answers };
}

function matchesText(op, text) {
  const name = bare(op).toLowerCase();
  return text.split(/\s+/).every((part) => part.includes("*")
    ? globs(name, part) : name.includes(part));
}

const globs = (name, glob) => new RegExp(
  `^${glob.split("*").map((s) => s.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`).test(name);

function cell(op, oracle, marks, shown, f) {
  const link = h("a", {
    href: toOp(op, { oracle, backend: f.backend }), tabindex: -1,
    "aria-label": `${bare(op)}, ${oracle}: ${shown.filter((b) => marks.has(b))
      .map((b) => `${b} ${words(T.verdict[marks.get(b)])}`).join("; ")}`,
  });
  for (const backend of shown) {
    const verdict = marks.get(backend);
    link.append(verdict === undefined ? h("span.gap") : mark(T.verdict[verdict]));
  }
  link.title = shown.filter((b) => marks.has(b)).map((b) => `${b}: ${words(T.verdict[marks.get(b)])}`).join("\n");
  return h("td", null, link);
}

function matrixTable(f) {
  const { cells, answers } = aggregate(f);
  const columns = oracles.filter((o) => !f.oracle || o === f.oracle);
  const shown = shownBackends(f);
  const parts = []; // one per chapter, each made when it is its turn
  let ops = 0, scenarios = 0;
  for (const chapter of core.chapters) {
    const rows = chapter.rows.filter((op) => cells.has(op));
    if (!rows.length) continue;
    if (chapter.kind === "op") ops += rows.length; else scenarios += rows.length;
    parts.push(() => h("tbody", null,
      h("tr.group", null, h("th", { scope: "rowgroup", colspan: columns.length + 1 },
        words(chapter.name), h("small", null, chapter.kind === "op" ? "" : "  scenarios"))),
      rows.map((op) => h("tr", null,
        h("th", { scope: "row" }, h("a", { href: toOp(op) }, bare(op))),
        columns.map((oracle) => {
          const marks = cells.get(op).get(oracle);
          return marks && shown.some((b) => marks.has(b)) ? cell(op, oracle, marks, shown, f) : h("td");
        })))));
  }
  const node = h("table.matrix", { "aria-label": "Verdicts: operations by oracles" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "operation"),
      columns.map((oracle) => h("th", { scope: "col", title: core.vocabulary.oracles[oracle] },
        words(oracle), h("span.tags", { "aria-hidden": "true" }, shown.map((b) => h("span", null, tagOf.get(b)))))))));
  const grow = (enough) => {
    for (let rows = 0; parts.length && rows < enough; rows += node.lastChild.rows.length) node.append(parts.shift()());
  };
  // The first screens at once, the rest a frame at a time while the page is already in use.
  grow(200);
  const later = () => {
    if (!node.isConnected || !parts.length) return;
    grow(60);
    requestAnimationFrame(later);
  };
  requestAnimationFrame(later);
  rove(node);
  return { node, ops, scenarios, answers };
}

// One stop for Tab; arrows, Home and End move inside.
function rove(node) {
  node.querySelector("td a")?.setAttribute("tabindex", "0");
  node.addEventListener("keydown", (event) => {
    const here = event.target.closest("td");
    if (!here || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0],
      Home: [0, -999], End: [0, 999] }[event.key];
    if (!step) return;
    const to = neighbour(here, step);
    if (!to) return;
    event.preventDefault();
    node.querySelector('td a[tabindex="0"]')?.setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  });
  node.addEventListener("focusin", (event) => {
    if (!event.target.matches("td a")) return;
    node.querySelector('td a[tabindex="0"]')?.setAttribute("tabindex", "-1");
    event.target.setAttribute("tabindex", "0");
  });
}

function neighbour(here, [down, right]) {
  const row = here.parentNode;
  const links = (r) => [...r.cells].filter((c) => c.tagName === "TD" && c.firstChild);
  if (right) {
    const list = links(row);
    const at = list.indexOf(here) + right;
    return list[Math.max(0, Math.min(list.length - 1, at))]?.firstChild;
  }
  const rows = [...row.closest("table").querySelectorAll("tbody tr:not(.group)")];
  for (let i = rows.indexOf(row) + down; i >= 0 && i < rows.length; i += down) {
    const found = rows[i].cells[here.cellIndex];
    if (found?.firstChild) return found.firstChild;
  }
  return null;
}

function overview(host) {
  const bar = h("div"), tally = h("p.tally"), grid = h("div.scroll.both", { tabindex: -1 });
  host.append(h("section.full", { "aria-labelledby": "matrix-title" },
    h("h2", { id: "matrix-title", tabindex: -1 }, "Matrix"),
    bar, legend(), tally, grid));
  const counts = {};
  for (let i = 0; i < size; i++) {
    const name = T.verdict[C.verdict[i]];
    counts[name] = (counts[name] ?? 0) + 1;
  }
  mountFilters(bar, "", (f) => {
    const { node, ops, scenarios, answers } = matrixTable(f);
    grid.replaceChildren(node);
    const text = answers
      ? `${plural(ops, "operation")} and ${plural(scenarios, "scenario")}, ${plural(answers, "answer")} of ${count(size)}`
      : "No answer passes these filters.";
    tally.textContent = text;
    announce(text);
  }, { counts, textLabel: "Operation or scenario" });
}

function legend() {
  return h("p.key", null, "In each cell, left to right:",
    shownBackends().map((b) => h("span", null, h("b", null, tagOf.get(b)), ` ${b}`)));
}
