// dtype promotion: one grid per library; what differs from another library is marked.
const SHORT = { bool: "b", uint8: "u8", int8: "i8", int16: "i16", int32: "i32", int64: "i64", uint16: "u16", uint32: "u32", uint64: "u64",
  float16: "f16", bfloat16: "bf16", float32: "f32", float64: "f64", complex64: "c64", complex128: "c128" };
const abbreviate = (name) => (SHORT[name.replace("[]", "")] ?? name) + (name.endsWith("[]") ? "₀" : "");
const sideName = (name) => (name.startsWith("weak:") ? `Python ${name.slice(5)}` : name.endsWith("[]") ? `${name.slice(0, -2)} 0-dim` : name);

function promotionView(host) {
  const all = block("promotion");
  host.append(viewHead("dtype promotion", "The dtype of a binary operation's result, for tensors, 0-dim tensors and Python scalars."));
  if (!all.length) {
    host.append(h("p.soft", null, "This run did not ask about promotion."));
    return;
  }
  const byBackend = groupBy(all, (r) => r.backend);
  const names = [...byBackend.keys()].sort((a, b) => backends.indexOf(a) - backends.indexOf(b));
  const results = new Map(names.map((b) => [b, new Map(byBackend.get(b).map((r) => [`${r.left}|${r.right}`, r]))]));
  const ordered = (names) => [...new Set(names)].sort((a, b) => dtypeRank(a) - dtypeRank(b));
  const sides = ordered(all.map((r) => r.left)), tops = ordered(all.map((r) => r.right));
  const grids = h(tops.length > 12 ? "div.grids.one" : "div.grids");
  for (const name of names) {
    let differ = 0, wrong = 0;
    const rows = sides.map((left) => h("tr", null, h("th", { scope: "row" }, sideName(left)), tops.map((right) => {
      const mine = results.get(name).get(`${left}|${right}`);
      if (!mine) return h("td.blank", null, h("span", { "aria-hidden": "true" }, "–"), h("span.sr", null, "not asked"));
      const others = names.filter((b) => b !== name).map((b) => [b, results.get(b).get(`${left}|${right}`)?.result])
        .filter(([, r]) => r !== undefined && r !== mine.result);
      const bad = failing.has(mine.verdict);
      if (bad) wrong += 1; else if (others.length) differ += 1;
      const title = `${sideName(left)} with ${sideName(right)}: ${mine.result}`
        + (bad ? `; expected ${mine.expected}` : "") + others.map(([b, r]) => `; ${b}: ${r}`).join("");
      return h(bad ? "td.wrong" : others.length ? "td.differs" : "td", { title },
        h("span", { "aria-hidden": "true" }, `${bad ? "!" : others.length ? "≠" : ""}${abbreviate(mine.result)}`), h("span.sr", null, title));
    })));
    grids.append(h("section", { "aria-label": name }, h("h2", null, name), h("p.fine", null,
      `${plural(differ, "pair")} ${differ === 1 ? "differs" : "differ"} from another library (≠)${wrong ? `; ${count(wrong)} not as documented (!)` : ""}`),
      h("div.scroll", { tabindex: 0, role: "region", "aria-label": `Promotion in ${name}` }, h("table.promo", null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span.sr", null, "left")), tops.map((t) => h("th", { scope: "col" }, sideName(t))))),
        h("tbody", null, rows)))));
  }
  host.append(grids, h("p.fine", null, `Short names: ${Object.entries(SHORT).map(([k, v]) => `${v} ${k}`).join(", ")}. A dash: not asked, as both are of one dtype or the result is no dtype of the specification.`));
}
