// Scenarios as programs: what each library did at each line.
function scenariosView(host) {
  const all = block("scenarios");
  const bar = h("div"), tally = h("p.tally"), list = h("div");
  host.append(viewHead("Scenarios", "Documented behaviours as short programs; claims are what a person read in the norm."), bar, tally, list);
  const counts = {};
  for (const [op, rows] of rowsOfOp) {
    if (isScenario(op)) for (const i of rows) counts[T.verdict[C.verdict[i]]] = (counts[T.verdict[C.verdict[i]]] ?? 0) + 1;
  }
  mountFilters(bar, "scenarios", (f) => {
    const passing = all.filter((s) => scenarioPasses(s, f));
    list.replaceChildren(...[...groupBy(passing, (s) => s.group ?? "other")].map(([group, rows]) =>
      section(words(group), plural(rows.length, "scenario"), scenarioTable(rows, f))));
    const text = passing.length ? `${plural(passing.length, "scenario")} of ${count(all.length)}` : "No scenario passes these filters.";
    tally.textContent = text;
    announce(text);
  }, { counts, textLabel: "Name, title or program" });
}

function scenarioPasses(s, f) {
  const rows = rowsOfOp.get(`scenario:${s.name}`) ?? [];
  const filtered = f.backend || f.oracle || f.verdicts || f.dtype;
  return (!filtered || rows.some((i) => answerPasses(i, f)))
    && (!f.text || f.text.split(/\s+/).every((part) =>
      `${s.name} ${s.title ?? ""} ${s.program ?? ""}`.toLowerCase().includes(part)));
}

function scenarioTable(list, f) {
  const shown = shownBackends(f).filter((b) => list.some((s) => (rowsOfOp.get(`scenario:${s.name}`) ?? []).some((i) => T.backend[C.backend[i]] === b)));
  return table(["Scenario", "Oracle", ...shown], list.map((s) => [
    h("span", null, h("a.mono", { href: href("scenario", s.name) }, s.name), s.title && h("div.fine", null, s.title)),
    s.oracle ?? "",
    ...shown.map((b) => {
      const rows = (rowsOfOp.get(`scenario:${s.name}`) ?? []).filter((i) => T.backend[C.backend[i]] === b);
      if (!rows.length) return "";
      const worst = rows.reduce((a, i) => (sevOfVerdict[C.verdict[i]] < sevOfVerdict[C.verdict[a]] ? i : a));
      return h("span", { title: T.why[C.why[worst]] }, word(T.verdict[C.verdict[worst]]));
    })]));
}

function scenarioView(host, name) {
  const s = block("scenarios").find((found) => found.name === name);
  if (!s) return missing(host, "scenario", name, "scenarios");
  const op = `scenario:${name}`;
  host.append(viewHead(s.title ?? name, null, h("nav.crumb", { "aria-label": "Breadcrumb" },
    h("a", { href: href("scenarios") }, "Scenarios"), s.group && ` / ${words(s.group)} / ${name}`)));
  host.append(section("Program", "line by line", programTable(s)));
  const lineless = Object.entries(s.claims ?? {}).filter(([key]) => !/^\d+$/.test(key));
  if (lineless.length) {
    host.append(section("Claims", "at the end", table(["Of", "Claim"], lineless.map(([key, text]) =>
      [h("code", null, key), h("code", null, text)]))));
  }
  if (s.divergence?.length) {
    host.append(section("Differences", "documented", table(["Backend", "Instead", "Stance", "Why"], s.divergence.map((d) => [
      h("span.mono", null, d.backend),
      Object.entries(d.claims).map(([key, text]) => h("div", null, h("code", null, `${key} ${text}`))),
      d.stance, h("span.wrap", null, d.why, " ", d.source && out(d.source, "source"))]))));
  }
  const rows = rowsOfOp.get(op) ?? [];
  host.append(section("Answers", null, table(["Backend", "Verdict", "Oracle", "dtypes", "Compared", "Why"], rows.map((i) => [
    h("span.mono", null, T.backend[C.backend[i]]), word(T.verdict[C.verdict[i]]), T.oracle[C.oracle[i]], dtypesText[C.dtypes[i]],
    count(C.compared[i]), h("span.wrap", null, T.why[C.why[i]])]), { numeric: [4] })));
  const found = block("findings").filter((x) => x.op === op);
  if (found.length) host.append(section("Findings", null, findingsTable(found, "Findings")));
  host.append(section("Norm", null, h("dl.facts", null, fact("Norm", normLink(s.norm)),
    s.needs?.length > 0 && fact("Needs", s.needs.map((n) => `${n} (${core.vocabulary.capabilities[n] ?? ""})`).join("; ")),
    s.why && fact("Why", s.why))));
}

function programTable(s) {
  const names = backends.filter((b) => s.traces[b]);
  const others = Object.keys(s.traces).filter((b) => !names.includes(b));
  const shown = [...others, ...names];
  const lines = s.program !== undefined ? s.program.split("\n").map((text, i) => ({ line: i + 1, text }))
    : (Object.values(s.traces)[0] ?? []).map(({ line, text }) => ({ line, text }));
  const at = (backend, line) => (s.traces[backend] ?? []).find((l) => l.line === line);
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Program" }, h("table.program", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span.sr", null, "Line")), h("th", { scope: "col" }, "Program"),
      Object.keys(s.claims ?? {}).some((k) => /^\d+$/.test(k)) && h("th", { scope: "col" }, "Claim"),
      shown.map((b) => h("th", { scope: "col" }, b)))),
    h("tbody", null, lines.map(({ line, text }) => {
      const claim = s.claims?.[String(line)];
      return h("tr", null, h("th.ln", { scope: "row" }, String(line)), h("td.src", null, text),
        Object.keys(s.claims ?? {}).some((k) => /^\d+$/.test(k)) && (claim ? h("td.claimed", null, claim) : h("td")),
        shown.map((b) => h("td.saw", null, [sawNode(at(b, line))].flat())));
    }))));
}

function sawNode(entry) {
  if (!entry) return h("span.soft", null, "–");
  const raised = typeof entry.raised === "string" ? { ...entry, kind: entry.raised } : entry.raised;
  if (raised) {
    return h("div", null, h("span.raised", null, `raises ${raised.kind ?? raised}`),
      raised.message && h("div.fine.wrap", null, short(`${raised.type ? `${raised.type}: ` : ""}${raised.message}`, 220)));
  }
  const seen = entry.observed;
  const warned = (entry.warnings ?? []).map((kind) => h("div", null, h("span.raised", null, `warns ${kind}`)));
  if (seen === null || seen === undefined) return h("span.soft", null, "ok");
  if (typeof seen !== "object" || isFloat(seen) || Array.isArray(seen)) return plain(seen);
  const rows = Object.entries(seen).map(([key, v]) =>
    h("div", null, h("span.soft", null, `${key} `), v === null ? "None" : plain(v)));
  return warned.length || rows.length ? [...warned, ...rows] : h("span.soft", null, "ok");
}
