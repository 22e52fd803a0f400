// The blocks embedded in the page, each parsed when it is first needed.
const blocks = new Map();
function block(name) {
  if (!blocks.has(name)) {
    blocks.set(name, JSON.parse(document.getElementById(`data-${name}`).textContent));
  }
  return blocks.get(name);
}

const core = block("core");
const severity = new Map(core.verdicts.map((v, i) => [v.name, i]));
const verdictOf = new Map(core.verdicts.map((v) => [v.name, v]));
const failing = new Set(core.verdicts.filter((v) => v.fails).map((v) => v.name));
const T = core.answers.tables;
const C = core.answers.columns;
const size = C.op.length;
const oracles = Object.keys(core.vocabulary.oracles).filter((o) => T.oracle.includes(o))
  .concat(T.oracle.filter((o) => !(o in core.vocabulary.oracles)));
// Backends in the run's order; an answer may name one that never started.
const backends = core.backends.map((b) => b.name);
for (const name of T.backend) if (!backends.includes(name)) backends.push(name);
// A cell shows the worst of what was asked: one dtype that does not apply hides no other's answer.
const UNASKED = new Set(["NOT_APPLICABLE", "NOT_RUN"]);
const sevOfVerdict = T.verdict.map((v) => (severity.get(v) ?? 0) + (UNASKED.has(v) ? 100 : 0));

const rowsOfOp = new Map(T.op.map((name) => [name, []]));
for (let i = 0; i < size; i++) rowsOfOp.get(T.op[C.op[i]]).push(i);

// A backend that did not run would fill the tables with the same mark: it is shown where asked for.
const ran = new Set(core.backends.map((b) => b.name));
const shownBackends = (f = {}) => backends.filter((b) => (f.backend ? b === f.backend
  : T.backend.includes(b) && (ran.has(b) || f.verdicts?.has("NOT_RUN"))));

const DTYPE_ORDER = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16",
  "bfloat16", "float32", "float64", "complex64", "complex128"];
// Tensors, then 0-dim tensors, then Python scalars; within each by the order above.
function dtypeRank(name) {
  const place = DTYPE_ORDER.indexOf(name.replace("[]", "").replace(/^weak:/, ""));
  return (name.startsWith("weak:") ? 200 : name.endsWith("[]") ? 100 : 0) + (place < 0 ? 50 : place);
}
const byDtypes = (a, b) => a.reduce((found, name, i) => found || dtypeRank(name) - dtypeRank(b[i] ?? ""), 0);

// A dtype signature as people write it: "float32, weak:float" -> "float32 × float".
const signature = (dtypes) => dtypes.map((d) => d.replace(/^weak:/, "Python ")).join(" × ") || "–";
const dtypesText = T.dtypes.map(signature);
const dtypeNames = [...new Set(T.dtypes.flat().map((d) => d.replace(/^weak:.*/, "").replace("[]", "")))]
  .filter(Boolean).sort((a, b) => dtypeRank(a) - dtypeRank(b));
const hasDtype = (dtypes, name) => dtypes.some((d) => d === name || d === `${name}[]`);

const bare = (op) => op.replace(/^scenario:/, "");
const isScenario = (op) => op.startsWith("scenario:");
const words = (name) => name.replaceAll("_", " ").toLowerCase();
// Short, distinct tags for the heads of columns: t, j, j64, …
const tagOf = new Map();
for (const name of backends) {
  const parts = name.split(":");
  let tag = parts[0][0] + parts.slice(1).filter((p) => p !== "cpu").map((p) => /^x?\d+$/.test(p) ? p.replace("x", "") : p[0]).join("");
  for (let n = 2; [...tagOf.values()].includes(tag); n++) tag = `${parts[0][0]}${n}`;
  tagOf.set(name, tag);
}
