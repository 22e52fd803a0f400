// The list of findings, and one finding in full.
function findingRow(x) {
  return h("tr", { role: "row" },
    h("th", { scope: "row" }, word(x.verdict)),
    h("td", null, h("a.mono", { href: toFinding(x.id) }, x.id),
      h("div.fine.wrap", null, short(x.message, 160))),
    h("td.mono", null, x.backend),
    h("td", null, x.oracle),
    h("td", null, signature(x.dtypes), x.more_dtypes.length > 0 && h("span.soft", null, ` +${x.more_dtypes.length}`)),
    h("td", null, points(x.points)),
    h("td.n", null, count(x.count)));
}

function findingsTable(list, label) {
  const body = h("tbody");
  const node = h("div.scroll", { tabindex: 0, role: "region", "aria-label": label },
    h("table.t.wide.stack", { role: "table" },
      h("thead", null, h("tr", null, ["Verdict", "Finding", "Backend", "Oracle", "dtypes", "Points"]
        .map((name) => h("th", { scope: "col" }, name)), h("th.n", { scope: "col" }, "Cases"))),
      body));
  const more = h("button", { type: "button" });
  let shown = 0;
  const grow = () => {
    body.append(...list.slice(shown, shown + 150).map(findingRow));
    shown = Math.min(list.length, shown + 150);
    more.hidden = shown === list.length;
    more.textContent = `Show ${count(Math.min(150, list.length - shown))} more of ${count(list.length - shown)}`;
  };
  more.addEventListener("click", grow);
  grow();
  return h("div", null, node, more);
}

function findingPasses(x, f) {
  return (!f.backend || x.backend === f.backend) && (!f.oracle || x.oracle === f.oracle)
    && (!f.verdicts || f.verdicts.has(x.verdict))
    && (!f.dtype || [x.dtypes, ...x.more_dtypes].some((d) => hasDtype(d, f.dtype)))
    && (!f.text || f.text.split(/\s+/).every((part) =>
      `${x.id} ${x.op} ${x.message} ${x.points.join(" ")} ${x.stance}`.toLowerCase().includes(part)));
}

function findingsView(host) {
  const all = block("findings");
  const bar = h("div"), tally = h("p.tally"), list = h("div");
  host.append(viewHead("Findings", "One row per cause: the smallest case that shows it stands for all that do."),
    bar, tally, list);
  const counts = {};
  for (const x of all) counts[x.verdict] = (counts[x.verdict] ?? 0) + 1;
  mountFilters(bar, "findings", (f) => {
    const passing = all.filter((x) => findingPasses(x, f));
    list.replaceChildren(passing.length ? findingsTable(passing, "Findings") : "");
    const text = passing.length ? `${plural(passing.length, "finding")} of ${count(all.length)}`
      : all.length ? "No finding passes these filters." : "No findings: every answer conforms or was not asked.";
    tally.textContent = text;
    announce(text);
  }, { counts, textLabel: "Operation, message or point" });
}

function findingView(host, id) {
  const x = block("findings").find((found) => found.id === id);
  if (!x) return missing(host, "finding", id, "findings");
  host.append(
    viewHead(x.id, x.message, h("nav.crumb", { "aria-label": "Breadcrumb" },
      h("a", { href: href("findings") }, "Findings"), " / ", h("a", { href: toOp(x.op) }, bare(x.op)))),
    x.expected === null ? section("What happened", `on ${x.backend}`, valueNode(x.observed, null))
      : section("Seen and expected", x.what || null, h("div.versus", null,
      h("div.seen", null, h("h3", null, `${x.backend} gave`), valueNode(said(x.observed), x.expected)),
      h("div", null, h("h3", null, "The norm says"), valueNode(said(x.expected), x.observed))),
      JSON.stringify(x.observed).includes('"bits"')
        && h("p.fine", null, "Bits: sign, exponent, fraction; the marked ones differ."),
      x.where.length > 0 && h("p.fine", null, `First difference at index [${x.where.join(", ")}].`)),
    section("Verdict", null, h("dl.facts", null,
      fact("Verdict", [word(x.verdict), h("span.soft", null, ` – ${verdictOf.get(x.verdict)?.meaning}`)]),
      x.stance && fact("Stance", `${x.stance} – ${core.vocabulary.stances[x.stance] ?? ""}`),
      x.why && fact("Why", x.why),
      x.source && fact("Source", out(x.source)),
      x.rule && fact("Predicted by", h("code", null, x.rule)),
      fact("Norm", normLink(x.norm)),
      fact("Question", [h("span.mono", null, x.oracle), " – ", core.vocabulary.oracles[x.oracle] ?? ""]),
      fact("dtypes", signature(x.dtypes)),
      x.more_dtypes.length > 0 && fact("Also in", x.more_dtypes.map(signature).join("; ")),
      fact("Points", x.points.length ? h("ul.plain", null, x.points.map((p) =>
        h("li", null, point(p), h("span.soft", null, ` ${core.vocabulary.points[p] ?? ""}`)))) : "–"),
      x.layout !== "contiguous" && fact("Layout", x.layout),
      fact("Same cause", plural(x.count, "case")))),
    section("Smallest case", "as a program", copyable(x.program)),
    section("Reproduce", x.script ? "needs only the library" : null, x.script ? copyable(x.script) : null,
      h("p.fine", null, h("code", null, `conformance repro DIR ${x.id}`))));
}

const fact = (name, ...value) => [h("dt", null, name), h("dd", null, ...value)];

function viewHead(title, lead, before) {
  return h("div.view-head", null, before, h("h1.wrap", { tabindex: -1 }, title),
    lead && h("p.lead.wrap", null, lead));
}

function missing(host, kind, name, list) {
  host.append(viewHead(`No ${kind} named ${name}`, "It may belong to another run, or be spelled another way."),
    h("p", null, h("a", { href: href(list) }, `All ${list || "operations"}`)));
}
