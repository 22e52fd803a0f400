// Views and copies: per operation and call, what each library's result shares with its input.
function viewsView(host) {
  const all = block("alias");
  host.append(viewHead("Views and copies", "Whether a result shares memory with its input. The norm is PyTorch's schema."));
  if (!all.length) {
    host.append(h("p.soft", null, "This run did not ask about aliasing."));
    return;
  }
  const names = [...new Set(all.map((r) => r.backend))].sort((a, b) => backends.indexOf(a) - backends.indexOf(b));
  const rows = [...groupBy(all, (r) => `${r.op}|${r.call}|${JSON.stringify(r.shapes)}|${r.layout ?? ""}`).values()];
  const layouts = all.some((r) => r.layout);
  const cells = rows.map((same) => [
    h("a.mono", { href: toOp(same[0].op) }, bare(same[0].op)), h("span", null, h("code", null, same[0].call),
      same[0].shapes && h("span.soft", null, ` of ${same[0].shapes.map((s) => `[${s.join(", ")}]`).join(", ")}`)),
    ...(layouts ? [same[0].layout ?? ""] : []), plain(same[0].expected),
    ...names.map((b) => {
      const r = same.find((x) => x.backend === b);
      if (!r) return h("span.soft", null, "–");
      return h("span", null, mark(r.verdict), " ", plain(r.observed), h("span.sr", null, `, ${words(r.verdict)}`));
    })]);
  host.append(table(["Operation", "Call", ...(layouts ? ["Layout"] : []), "Promised", ...names], cells, { caption: `${plural(rows.length, "call")}` }));
}
