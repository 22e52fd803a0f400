// What ran: time, versions, seed.
function runView(host) {
  const { run } = core;
  host.append(viewHead("Run", null));
  const t = run.times ?? {};
  const parts = [["library", t.library_s], ["reference", t.reference_s], ["harness", t.harness_s]].filter(([, s]) => s !== undefined);
  const sum = parts.reduce((a, [, s]) => a + s, 0);
  host.append(section("Time", t.wall_s !== undefined ? `${seconds(t.wall_s)} on the clock` : null,
    table(["Spent in", "Seconds", "Share"], parts.map(([name, s]) => [name, s.toFixed(1), sum ? `${(100 * s / sum).toFixed(1)} %` : "–"]), { numeric: [1, 2] }),
    h("p.fine", null, "Summed over all workers, so the sum may exceed the clock.",
      run.peak_memory ? ` Peak memory ${(run.peak_memory / 2 ** 30).toFixed(2)} GiB.` : "")));
  host.append(section("Packages", null, table(["Package", "Version"], Object.entries(run.packages ?? {}).map(([k, v]) => [h("span.mono", null, k), h("span.mono", null, v)]))));
  host.append(section("Backends", null, table(["Backend", "Version", "Device", "Options", "Capabilities"], core.backends.map((b) =>
    [h("span.mono", null, b.name), b.version ?? "", b.device ?? "", (b.options ?? []).join(", ") || "–", (b.capabilities ?? []).join(" ")]))));
  const rest = Object.entries(run).filter(([k]) => !["times", "packages", "peak_memory"].includes(k));
  host.append(section("Settings", null, h("dl.facts", null, rest.map(([k, v]) => fact(words(k), plain(v) || "–")))));
}

const seconds = (s) => (s < 90 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`);
