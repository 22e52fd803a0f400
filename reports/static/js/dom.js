"use strict";
// Everything shown goes through h() and text nodes: no string of the run is parsed as markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";
const SVG = new Set(["svg", "g", "rect", "line", "circle", "path", "text", "title", "desc"]);

// h("a.cls", {href, onclick, …}, child, …): an element. Children are nodes or text; null is dropped.
function h(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = SVG.has(tag) || (tag === "a" && children[0]?.namespaceURI === SVG_SPACE)
    ? document.createElementNS(SVG_SPACE, tag)
    : document.createElement(tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

// A link out of the page; only the web's own schemes become one.
function out(url, text) {
  if (!/^https?:\/\//.test(url ?? "")) return text ?? url ?? "";
  return h("a", { href: url, rel: "noreferrer" }, text ?? url);
}

function table(columns, rows, { caption, numeric = [] } = {}) {
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": caption ?? "table" },
    h("table.t", null,
      caption && h("caption", null, caption),
      h("thead", null, h("tr", null, columns.map((name, i) =>
        h(numeric.includes(i) ? "th.n" : "th", { scope: "col" }, name)))),
      h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, i) =>
        i === 0 ? h("th", { scope: "row" }, cell) : h(numeric.includes(i) ? "td.n" : "td", null, cell)))))));
}

function section(title, note, ...children) {
  return h("section.sec", { "aria-label": title },
    h("h2", null, title, note && h("small", null, note)), h("div", null, ...children));
}

const count = (n) => n.toLocaleString("en-US");
const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// Announced to screen readers; the same words are on the page.
function announce(text) {
  document.getElementById("live").textContent = text;
}

function copyable(text) {
  const button = h("button", { type: "button" }, "Copy");
  const code = h("pre.code", { tabindex: 0, "aria-label": "script" }, h("code", null, text));
  button.addEventListener("click", async () => {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // No clipboard permission: select the text so that the copy key takes it.
      getSelection().selectAllChildren(code);
      done = false;
    }
    button.textContent = done ? "Copied" : "Selected";
    announce(done ? "Copied to the clipboard" : "Selected; press the copy key");
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return h("div.codebox", null, code, button);
}
