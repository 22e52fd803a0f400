// One operation: its facts, bounds, differences, and every answer by dtype.
function operationView(host, name, query) {
  const rows = rowsOfOp.get(name);
  if (!rows) return missing(host, "operation", name, "");
  const facts = block("ops")[name];
  host.append(viewHead(name, facts?.notes, h("nav.crumb", { "aria-label": "Breadcrumb" },
    h("a", { href: href("") }, "Overview"))));
  if (facts) host.append(section("Facts", "from the table", factsOf(facts)));
  const found = block("findings").filter((x) => x.op === name);
  const oracle = query.get("oracle") ?? "", backend = query.get("backend") ?? "";
  host.append(section("Answers", "by dtype", answersOf(name, rows, oracle, backend)));
  if (found.length) {
    host.append(section("Findings", plural(found.length, "cause"),
      findingsTable(oracle ? [...found].sort((a, b) => (b.oracle === oracle) - (a.oracle === oracle)) : found, "Findings")));
  }
  host.append(section("Differences", "between libraries", differences(name, found, facts)));
  host.append(section("Bounds", "worst seen, allowed", boundsOf(rows)));
}

function factsOf(facts) {
  const list = (value) => (Array.isArray(value) ? value.join(" ") : String(value));
  const saves = Object.entries(facts.saves);
  return h("div", null, h("p.schema", null, facts.schema),
    h("dl.facts", null,
      fact("Norm", normLink(facts.norm)),
      fact("dtypes", list(facts.dtypes)), fact("Result dtype", list(facts.result)),
      fact("Shapes", facts.shapes),
      fact("Bound", Object.entries(facts.bound).map(([k, v]) => `${k} ${v}`).join(", ")),
      fact("Points", points(facts.points)),
      fact("Saves", saves.length ? saves.map(([k, v]) => `${v.join(", ")} for the cotangent of ${k}`).join("; ") : "nothing for backward"),
      facts.inplace.length > 0 && fact("In place", `writes ${list(facts.inplace)}${facts.base ? `; value as ${facts.base}` : ""}`),
      facts.needs.length > 0 && fact("Needs", list(facts.needs)),
      Object.entries(facts.calls).map(([k, v]) => fact(`As ${k}`, h("code", null, v)))));
}

function answersOf(name, rows, oracle, backend) {
  const mine = rows.filter((i) => (!oracle || T.oracle[C.oracle[i]] === oracle) && (!backend || T.backend[C.backend[i]] === backend));
  const shown = shownBackends({ backend }).filter((b) => mine.some((i) => T.backend[C.backend[i]] === b));
  const asked = oracles.filter((o) => mine.some((i) => T.oracle[C.oracle[i]] === o));
  const head = (oracle || backend) && h("p.tally", null, "Only ", [oracle, backend].filter(Boolean).join(" on "), ". ",
    h("a", { href: toOp(name) }, "All answers"));
  const listed = mine.filter((i) => shown.includes(T.backend[C.backend[i]]))
    .sort((a, b) => byDtypes(T.dtypes[C.dtypes[a]], T.dtypes[C.dtypes[b]]));
  const byDtype = groupBy(listed, (i) => C.dtypes[i]);
  if (asked.length > 1 || !mine.length) {
    const caption = `In each cell: ${shown.map((b) => `${tagOf.get(b)} ${b}`).join(", ")}`;
    return h("div", null, head, h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Answers by dtype" },
      h("table.matrix", null, h("caption.fine", null, caption),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "dtypes"), asked.map((o) => h("th", { scope: "col" },
          h("a", { href: toOp(name, { oracle: o }) }, words(o)), h("span.tags", { "aria-hidden": "true" }, shown.map((b) => h("span", null, tagOf.get(b)))))))),
        h("tbody", null, [...byDtype].map(([d, list]) => h("tr", null, h("th", { scope: "row" }, dtypesText[d]),
          asked.map((o) => {
            const marks = new Map(list.filter((i) => T.oracle[C.oracle[i]] === o).map((i) => [T.backend[C.backend[i]], C.verdict[i]]));
            if (!shown.some((b) => marks.has(b))) return h("td");
            const td = cell(name, o, marks, shown, { backend });
            td.firstChild.setAttribute("tabindex", "0");
            return td;
          })))))));
  }
  return h("div", null, head, table(["dtypes", "Backend", "Verdict", "Compared", "Worst", "Allowed", "Why"],
    listed.map((i) => [dtypesText[C.dtypes[i]], h("span.mono", null, T.backend[C.backend[i]]), word(T.verdict[C.verdict[i]]),
      count(C.compared[i]), C.worst[i] ?? "", C.allowed[i] === null ? "" : `${C.allowed[i]} ${T.unit[C.unit[i]]}`,
      h("span.wrap", null, T.why[C.why[i]])]), { numeric: [3, 4, 5], caption: oracle ? core.vocabulary.oracles[oracle] : "Answers" }));
}

// Where libraries answer differently: one row per oracle and points, one column per backend.
function differences(name, found, facts) {
  const shown = shownBackends().filter((b) => rowsOfOp.get(name).some((i) => T.backend[C.backend[i]] === b));
  const rows = [...groupBy(found, (x) => `${x.oracle}|${x.what}|${[...x.points].sort().join(" ")}`).values()];
  const declared = facts?.divergence ?? [];
  if (!rows.length && !declared.length) return h("p.soft", null, "None seen, none documented.");
  return h("div", null,
    rows.length > 0 && table(["Question", "Points", "Norm", ...shown], rows.map((same) => [
      `${words(same[0].oracle)}${same[0].what ? ` of ${same[0].what}` : ""}`, points(same[0].points),
      h("span.mono", null, short(plain(said(same[0].expected)), 40)),
      ...shown.map((b) => {
        const mine = same.filter((x) => x.backend === b);
        return mine.length ? mine.map((x) => h("div", null, h("a.mono", { href: toFinding(x.id) }, short(plain(said(x.observed)), 40)),
          " ", mark(x.verdict), h("span.sr", null, words(x.verdict)))) : h("span.soft", null, "no difference seen");
      })])),
    declared.length > 0 && h("div", null, h("h3", null, "Documented"),
      table(["Backend", "Question", "Points", "Predicts", "Stance", "Why"], declared.map((d) => [
        h("span.mono", null, d.backend), d.oracle, points(d.points), h("code", null, Array.isArray(d.rule) ? d.rule.join(" or ") : d.rule), d.stance,
        h("span", null, d.why, " ", d.source && out(d.source, "source"))]))));
}
