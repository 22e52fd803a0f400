// A verdict: shape, letter and word; never colour alone.
function mark(name) {
  return h(`span.m.v-${name}`, { "aria-hidden": "true" }, verdictOf.get(name)?.code ?? "!");
}

const word = (name) => h(`span.word.v-${name}`, { title: verdictOf.get(name)?.meaning },
  mark(name), words(name));

const point = (name) => h("span.pt", { title: core.vocabulary.points[name] }, name);
const points = (names) => names.length
  ? names.flatMap((name, i) => [i ? " " : "", point(name)]) : h("span.soft", null, "–");

function normLink(norm) {
  if (!norm?.text) return h("span.soft", null, "–");
  return h("span", null, out(norm.url, norm.text),
    norm.version && h("span.soft", null, ` at ${norm.version}`));
}
