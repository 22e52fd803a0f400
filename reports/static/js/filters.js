// Filters shared by the matrix, the findings and the scenarios; they live in the URL only.
const FILTERS = ["q", "verdict", "backend", "dtype", "oracle"];

function readFilters(query) {
  const f = Object.fromEntries(FILTERS.map((key) => [key, query.get(key) ?? ""]));
  const chosen = f.verdict.split(",").filter(Boolean)
    .flatMap((v) => (v === "failing" ? [...failing] : [v]));
  f.verdicts = chosen.length ? new Set(chosen) : null;
  f.text = f.q.trim().toLowerCase();
  return f;
}

function writeFilters(view, f, replace) {
  const hash = href(view, "", Object.fromEntries(FILTERS.map((key) => [key, f[key]])));
  if (hash === (location.hash || "#/")) return;
  // Typing replaces, choosing pushes: back undoes a choice, not a letter.
  history[replace ? "replaceState" : "pushState"](null, "", hash);
  refreshNav();
}

// Does answer i pass every filter but those on its operation's name?
function answerPasses(i, f) {
  return (!f.backend || T.backend[C.backend[i]] === f.backend)
    && (!f.oracle || T.oracle[C.oracle[i]] === f.oracle)
    && (!f.verdicts || f.verdicts.has(T.verdict[C.verdict[i]]))
    && (!f.dtype || hasDtype(T.dtypes[C.dtypes[i]], f.dtype));
}

function filterBar(view, f, update, { counts, textLabel = "Text" }) {
  const change = (key, value, replace = false) => {
    f[key] = value;
    writeFilters(view, f, replace);
    update();
  };
  const select = (key, label, options) => h("label", null, label,
    h("select", { name: key, onchange: (e) => change(key, e.target.value) },
      h("option", { value: "" }, "all"),
      options.map((name) => h("option", { value: name, selected: f[key] === name }, name))));
  const chip = (name, text, n) => {
    const on = name === "failing" ? f.verdict === "failing" : (f.verdicts?.has(name) && f.verdict !== "failing") ?? false;
    return h("button.chip", {
      type: "button", "data-verdict": name, "aria-pressed": String(Boolean(on)),
      onclick: () => {
        const now = new Set(f.verdict.split(",").filter((v) => v && v !== "failing"));
        if (name === "failing") return change("verdict", f.verdict === "failing" ? "" : "failing");
        if (now.has(name)) now.delete(name); else now.add(name);
        change("verdict", [...now].join(","));
      },
    }, name !== "failing" && mark(name), text, h("span.k", null, count(n)));
  };
  const total = [...failing].reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  return h("form.filters", { role: "search", "aria-label": "Filter", onsubmit: (e) => e.preventDefault() },
    h("label", null, textLabel, h("input", {
      type: "search", name: "q", value: f.q, autocomplete: "off", spellcheck: "false",
      oninput: (e) => change("q", e.target.value, true),
    })),
    select("backend", "Backend", backends),
    select("oracle", "Oracle", oracles),
    select("dtype", "dtype", dtypeNames),
    h("fieldset.chips", null, h("legend.sr", null, "Verdict"),
      total > 0 && chip("failing", "all that fail", total),
      core.verdicts.filter((v) => counts[v.name]).map((v) => chip(v.name, words(v.name), counts[v.name]))),
    FILTERS.some((key) => f[key]) && h("button.quiet", {
      type: "button",
      onclick: () => { FILTERS.forEach((key) => { f[key] = ""; }); writeFilters(view, f, false); update(); },
    }, "Clear"));
}

// Build the bar again after a choice, keeping the focus and the caret where they were.
function mountFilters(host, view, onchange, options) {
  const f = readFilters(parseRoute().query);
  const update = () => {
    const had = document.activeElement;
    const again = had && host.contains(had)
      ? had.name ? `[name="${had.name}"]` : had.dataset.verdict ? `[data-verdict="${had.dataset.verdict}"]` : "input"
      : null;
    Object.assign(f, readFilters(new URLSearchParams(FILTERS.map((key) => [key, f[key]]))));
    if (!(had && had.name === "q" && host.contains(had))) {
      host.replaceChildren(filterBar(view, f, update, options));
      if (again) host.querySelector(again)?.focus({ preventScroll: true });
    }
    onchange(f);
  };
  host.replaceChildren(filterBar(view, f, update, options));
  onchange(f);
}
