// Observed and expected values: JSON in which a float is {value, hex, bits}.
const isComplex = (v) => v !== null && typeof v === "object" && isFloat(v.re) && isFloat(v.im);
const isFloat = (v) => v !== null && v !== undefined && typeof v === "object" && typeof v.value === "string" && "hex" in v;

function bitsNode(bits, other) {
  // Bits that differ from the other value are underlined, so that one last place is seen.
  const kinds = ["s", "e", "f"];
  let part = 0;
  const node = h("div.bits", { "aria-label": `bits ${bits}` });
  [...bits].forEach((bit, i) => {
    if (bit === " ") { part += 1; node.append(" "); return; }
    const differs = other !== undefined && other.length === bits.length && other[i] !== bit;
    node.append(h(`span.${kinds[part] ?? "f"}${differs ? ".d" : ""}`, null, bit));
  });
  return node;
}

function floatNode(value, other) {
  return h("div", null,
    h("span.num", null, value.value), " ",
    h("span.hex", null, value.hex.replace(/0+p/, "p").replace(".p", "p")),
    value.bits && bitsNode(value.bits, isFloat(other) ? other.bits : undefined));
}

function valueNode(value, other) {
  if (isFloat(value)) return floatNode(value, other);
  if (Array.isArray(value)) {
    if (!value.length) return h("span.num", null, "[]");
    if (value.every((v) => v === null || typeof v !== "object")) {
      return h("span.num.wrap", null, `[${value.map(plain).join(", ")}]`);
    }
    return h("div.values", { tabindex: 0, role: "region", "aria-label": "values" },
      h("table.t", null, h("tbody", null, value.slice(0, 200).map((v, i) => h("tr", null,
        h("th", { scope: "row" }, `[${i}]`), h("td", null, valueNode(v, other?.[i])))))),
      value.length > 200 && h("p.fine", null, `and ${count(value.length - 200)} more`));
  }
  if (value !== null && typeof value === "object") {
    return h("dl.facts", null, Object.entries(value).map(([key, v]) =>
      [h("dt", null, words(key)), h("dd", null, valueNode(v, other?.[key]))]));
  }
  if (typeof value === "string" && value.includes("\n")) {
    return h("pre.code", { tabindex: 0, "aria-label": "text" }, value);
  }
  return h("span.num.wrap", null, plain(value));
}

// One line of text for a cell of a table.
function plain(value) {
  if (value === null || value === undefined) return "–";
  if (isFloat(value)) return value.value;
  if (Array.isArray(value)) return `[${value.map(plain).join(", ")}]`;
  if (typeof value === "object") {
    if (typeof value.raised === "string") return `raises ${value.raised}`;
    if (isComplex(value)) return `${value.re.value}${/^[-+]/.test(value.im.value) ? "" : "+"}${value.im.value}j`;
    if (Array.isArray(value.first)) return `${plain(value.first).slice(0, -1)}, …] of shape ${plain(value.shape)}`;
    return Object.entries(value).map(([k, v]) => `${k} ${plain(v)}`).join(", ");
  }
  if (value === true) return "True";
  if (value === false) return "False";
  return String(value);
}

// What a finding saw or expected: an error kind stands for a refusal, the empty text for none.
function said(value) {
  if (value === "") return "no error";
  if (typeof value === "string" && value in core.vocabulary.error_kinds) return `raises ${value}`;
  return value;
}

const short = (text, most = 80) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
