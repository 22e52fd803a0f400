// Views and copies: per operation and call, and per memory layout of its input.
function viewsView(host) {
  const all = block("alias");
  host.append(viewHead("Views and copies",
    "Whether a result shares memory with its input. PyTorch's schema says what may be a view; the reference, for each layout, whether it is one."));
  if (!all.length) {
    host.append(h("p.soft", null, "This run did not ask about aliasing."));
    return;
  }
  const known = ["contiguous", "transposed", "strided", "offset", "expanded", "reversed_dims"];
  const layouts = [...new Set(all.map((r) => r.layout))].sort((a, b) => known.indexOf(a) - known.indexOf(b));
  const rows = [...groupBy(all, (r) => JSON.stringify([r.op, r.call, r.shapes])).values()];
  host.append(h("p.key", null, "≠ not as the reference has it; a word alone holds for ",
    [...new Set(all.map((r) => r.backend))].join(", "), "."));
  host.append(table(["Operation", "Call", ...layouts.map(words)], rows.map((same) => [
    h("a.mono", { href: toOp(same[0].op) }, bare(same[0].op)),
    h("span", null, h("code", null, same[0].call),
      h("span.soft", null, ` of ${same[0].shapes.map((s) => `[${s.join(", ")}]`).join(", ")}`)),
    ...layouts.map((layout) => sharing(same.filter((r) => r.layout === layout))),
  ]), { caption: plural(rows.length, "call") }));
}

// One word where all who answered agree with the reference and each other, else one line for each.
function sharing(records) {
  if (!records.length) return h("span.soft", null, "–");
  if (records.every((r) => r.observed === r.expected)) return plain(records[0].observed);
  return [...records].sort((a, b) => backends.indexOf(a.backend) - backends.indexOf(b.backend)).map((r) => h("div", null,
    h("span.mono.soft", null, r.backend), " ",
    r.observed === r.expected ? plain(r.observed)
      : h("b", null, "≠ ", plain(r.observed), h("span.sr", null, `, expected ${plain(r.expected)}`))));
}
