// Which view the URL asks for; focus goes to its heading, so that a screen reader reads it.
const VIEWS = {
  "": overview, findings: findingsView, bounds: boundsView, scenarios: scenariosView,
  promotion: promotionView, views: viewsView, run: runView,
};
const DETAILS = { op: operationView, finding: findingView, scenario: scenarioView };
const PARENT = { op: "", finding: "findings", scenario: "scenarios" };
const title = document.title;
let current = null;

function render() {
  const { view, rest, query } = parseRoute();
  const host = document.getElementById("view");
  const first = current === null;
  const moved = current !== `${view}/${rest}`;
  current = `${view}/${rest}`;
  host.replaceChildren();
  document.getElementById("overview").hidden = view !== "";
  if (view in DETAILS) DETAILS[view](host, rest, query);
  else if (view in VIEWS) VIEWS[view](host);
  else missing(host, "page", view, "");
  refreshNav();
  const heading = view === "" ? document.getElementById("verdict") : host.querySelector("h1");
  document.title = view === "" ? title : `${heading.textContent} – ${title}`;
  if (moved && !first) {
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function refreshNav() {
  const { view, query } = parseRoute();
  const kept = view in VIEWS ? Object.fromEntries(FILTERS.map((key) => [key, query.get(key)])) : {};
  for (const link of document.querySelectorAll("#nav a")) {
    const mine = link.dataset.view;
    if (mine === (PARENT[view] ?? view)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    // Filters follow between the lists that share them.
    if (["", "findings", "scenarios"].includes(mine)) link.setAttribute("href", href(mine, "", kept));
  }
}

const THEMES = ["auto", "light", "dark"];
function themeButton() {
  const button = document.getElementById("theme");
  const show = () => {
    const theme = document.documentElement.dataset.theme ?? "auto";
    button.textContent = `Theme: ${theme}`;
    button.setAttribute("aria-label", `Theme: ${theme === "auto" ? "as the system" : theme}. Change`);
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("conformance-theme", next);
    } catch (error) {
      console.info("theme is not remembered:", error.message);
    }
    show();
    announce(`Theme: ${next}`);
  });
  show();
}

// A verdict of the first screen sets the filter and goes down to the matrix.
for (const link of document.querySelectorAll("a[data-verdict]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", link.getAttribute("href"));
    render();
    const heading = document.getElementById("matrix-title");
    heading.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    heading.focus({ preventScroll: true });
  });
}

addEventListener("popstate", render);
themeButton();
render();
