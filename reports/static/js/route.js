// The state of the page is its URL: #/view/rest?filters. Reload, back and sharing all keep it.
function parseRoute() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [view, ...rest] = path.split("/");
  return { view, rest: decode(rest.join("/")), query: new URLSearchParams(query) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % typed by hand: taken as it stands
  }
}

function href(view, rest = "", query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, v]) => v)).toString();
  const path = rest ? `${view}/${encodeURIComponent(rest)}` : view;
  return `#/${path}${search ? `?${search}` : ""}`;
}

const toOp = (op, query) => isScenario(op)
  ? href("scenario", bare(op), query) : href("op", op, query);
const toFinding = (id) => href("finding", id);
