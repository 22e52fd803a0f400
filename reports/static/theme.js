"use strict";
// Before the first paint, so that a chosen theme does not flash. Storage may be refused
// (private windows, file: pages in some browsers); then the system's choice holds.
try {
  const chosen = localStorage.getItem("conformance-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch (error) {
  console.info("theme is not remembered:", error.message);
}
