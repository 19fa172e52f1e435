// Draws the figures of a run's page from the data that the page holds, and answers its controls.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = { matches: system.matches }; // what is printed is light, whatever the screen is
  const config = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif";
  const WIDE = 8; // ends of curves further apart than this do not fit one linear axis
  const STEP_MS = 700, BRICK_PX = 4; // a smaller field of a map has no gap to the next

  const ink = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const colorOf = (look) => (dark.matches ? look.dark : look.color);
  // Plotly reads markup in text; names are the user's and are shown as they are.
  const plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const labelOf = (name) => plain(data.schemes[name].label);
  const withUnit = (label, unit) => (unit ? `${label} [${unit}]` : label);
  const faint = (hex, alpha) =>
    `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${alpha})`;
  const known = (value) => value !== null && value !== undefined;

  function axis(title, more) {
    return {
      title: { text: title, standoff: 8, font: { size: 13 } }, gridcolor: ink("line"), linecolor: ink("soft"),
      zeroline: false, automargin: true, fixedrange: true, color: ink("ink"), ...more,
    };
  }

  function layout(more) {
    return {
      font: { family: FONT, size: 13, color: ink("ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: 14, t: 12, b: 8 }, dragmode: false, showlegend: false,
      hoverlabel: { bgcolor: ink("card"), bordercolor: ink("soft"), font: { color: ink("ink") } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false,
        traceorder: "normal" },
      ...more,
    };
  }

  // Rows of a chart by name, from the top; a long name is cut, hovering shows it whole.
  const short = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);
  const namedRows = (names, more) => axis("", { autorange: "reversed", tickvals: names.map((_, i) => i),
    ticktext: names.map((n) => plain(short(n))), ...more });

  // Colours beside the figure, on narrow screens above it.
  function colorbar(text) {
    const narrow = window.innerWidth < 600, font = { size: 13 };
    return { thickness: 12, outlinewidth: 0, orientation: narrow ? "h" : "v",
      title: { text, side: narrow ? "top" : "right", font } };
  }

  // Rounds are whole numbers.
  const roundAxis = (last, more) =>
    axis("Federated round", { tick0: 0, dtick: Math.max(1, Math.ceil(last / 12)), ...more });
  const clientAxis = (all, more) => axis("Client", { tick0: 0, tickformat: "d", showgrid: false,
    dtick: Math.max(1, Math.ceil(all[all.length - 1] / 20)), ...more });

  function line(y, text) {
    return {
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y,
        line: { color: ink("soft"), width: 1, dash: "dash" } }],
      annotations: [{ xref: "paper", x: 1, y, text, showarrow: false, xanchor: "right",
        yanchor: "bottom", font: { color: ink("soft"), size: 12 } }],
    };
  }

  // Gaps between the fields of a map so many wide and high; one of 1 px would draw nothing of it.
  function gaps(figure, columns, rows, height) {
    const width = document.querySelector(`#${figure} .draw`).clientWidth - 110;
    return { xgap: width / columns < BRICK_PX ? 0 : 1, ygap: height / rows < BRICK_PX ? 0 : 1 };
  }

  const views = {}; // by figure: what its controls ask for, as traces, layout and rows of a table

  const AXES = { round: ["Federated round", ""], time_s: ["Simulated time", "s"], energy_j: ["Energy", "J"] };

  function band(curve, xs, look, name) {
    const at = xs.map((_, i) => i).filter((i) => known(curve.low[i]));
    const back = [...at].reverse();
    return {
      x: [...at, ...back].map((i) => xs[i]),
      y: [...at.map((i) => curve.high[i]), ...back.map((i) => curve.low[i])],
      fill: "toself", fillcolor: faint(colorOf(look), 0.16), line: { width: 0 },
      mode: "lines", hoverinfo: "skip", name: `${name}, 10-90 %`,
    };
  }

  views.convergence = (asked) => {
    const key = asked.get("y"), x = asked.get("x"), quantity = data.curves[key];
    const shown = asked.getAll("scheme").filter((name) => quantity.schemes[name]);
    const [title, unit] = AXES[x];
    const traces = [], ends = [];
    for (const name of shown) {
      const curve = quantity.schemes[name], look = data.schemes[name], xs = curve[x];
      ends.push(xs[xs.length - 1]);
      if (curve.low) traces.push(band(curve, xs, look, labelOf(name)));
      if (curve.predicted && curve.predicted.some(known)) {
        traces.push({ x: xs, y: curve.predicted, mode: "lines", hoverinfo: "skip", opacity: 0.7,
          line: { color: colorOf(look), width: 1 }, name: `${labelOf(name)}, predicted` });
      }
      traces.push({
        x: xs, y: curve.value, mode: "lines+markers", name: labelOf(name),
        line: { color: colorOf(look), dash: look.dash, width: 2 },
        marker: { symbol: look.symbol, size: 7, maxdisplayed: 14 },
        hovertemplate: x === "round" ? "%{y:.4~g}" : `%{y:.4~g} at %{x:.4~g} ${unit}`,
      });
    }
    const rows = () => [["scheme", "round", "time_s", "energy_j", key, "p10", "p90", "predicted"],
      ...shown.flatMap((name) => {
        const curve = quantity.schemes[name];
        return curve.value.map((value, i) => [
          data.schemes[name].label, curve.round[i], curve.time_s[i], curve.energy_j[i], value,
          ...["low", "high", "predicted"].map((part) => (curve[part] ? curve[part][i] : null)),
        ]);
      })];
    const scale = asked.get("scale");
    const wide = x !== "round" && Math.max(...ends) > WIDE * Math.min(...ends);
    const log = x !== "round" && (scale === "log" || (scale === "auto" && wide));
    const target = key === "loss" && known(data.target) ? line(data.target, "target") : {};
    return {
      traces, rows,
      layout: layout({
        height: 440, hovermode: x === "round" ? "x unified" : "closest", ...target,
        xaxis: x === "round" ? roundAxis(Math.max(0, ...ends))
          : axis(withUnit(title, unit), { type: log ? "log" : "linear" }),
        yaxis: axis(withUnit(quantity.label, quantity.unit)),
      }),
    };
  };

  function costs(key, word, unit) {
    return (asked) => {
      const by = data.costs[key], names = Object.keys(by), as = asked.get("as");
      const parts = Object.keys(data.components).filter((part) => names.some((n) => by[n][part]));
      const sums = names.map((n) => Object.values(by[n]).reduce((a, b) => a + b, 0));
      const rows = () => [["scheme", "component", key], ...names.flatMap((n) =>
        parts.filter((p) => known(by[n][p])).map((p) => [data.schemes[n].label, p, by[n][p]]))];
      const component = (p) => plain(data.components[p].label);
      if (as === "log") {
        const traces = names.map((n) => ({
          x: parts.map((p) => by[n][p] || null), y: parts.map(component), mode: "markers",
          name: labelOf(n), hovertemplate: `%{x:.4~g} ${unit}`,
          marker: { color: colorOf(data.schemes[n]), symbol: data.schemes[n].symbol, size: 9 },
        }));
        return { traces, rows, layout: layout({
          height: 150 + 46 * parts.length, showlegend: true,
          xaxis: axis(withUnit(word, unit), { type: "log" }),
          yaxis: axis("", { type: "category", autorange: "reversed" }),
        }) };
      }
      const share = as === "share";
      const traces = parts.map((p) => ({
        type: "bar", orientation: "h", name: component(p), y: names.map(labelOf),
        x: names.map((n, i) => (by[n][p] || 0) * (share ? 100 / sums[i] : 1)),
        marker: { color: data.components[p].color, line: { color: ink("card"), width: 1 } },
        customdata: names.map((n) => by[n][p] || 0),
        hovertemplate: `%{customdata:.4~g} ${unit}`,
      }));
      return { traces, rows, layout: layout({
        height: 130 + 40 * names.length, barmode: "stack", showlegend: true, bargap: 0.3,
        xaxis: axis(share ? `Share of ${word.toLowerCase()} [%]` : withUnit(word, unit)),
        yaxis: axis("", { type: "category", autorange: "reversed" }),
      }) };
    };
  }
  views.energy = costs("energy_j", "Energy", "J");
  views.latency = costs("latency_s", "Simulated time", "s");

  function levels(map) {
    const bytes = Uint8Array.from(atob(map.values), (c) => c.charCodeAt(0));
    const [height, width] = map.shape;
    return Array.from({ length: height }, (_, row) =>
      Array.from(bytes.subarray(row * width, (row + 1) * width), (b) => map.low_db + map.step_db * b));
  }
  const places = (side, count) =>
    Array.from({ length: count }, (_, i) => (count > 1 ? (side * i) / (count - 1) : 0));

  function ground(map, region, high) {
    const z = levels(map), x = places(region[0], map.shape[1]), y = places(region[1], map.shape[0]);
    const rows = () => [["x", "y", "gain_db"],
      ...z.flatMap((row, j) => row.map((level, i) => [x[i], y[j], level]))];
    if (map.shape[0] === 1) {
      return { rows, trace: { x, y: z[0], mode: "lines", line: { color: ink("soft"), width: 1 },
        hovertemplate: "%{y:.1f} dB<extra></extra>" } };
    }
    return { rows, trace: {
      type: "heatmap", x, y, z, zsmooth: "best", colorscale: "Cividis", zmin: high - 25, zmax: high,
      colorbar: colorbar("Weakest client [dB]"),
      hovertemplate: "%{z:.1f} dB at %{x:.2f}, %{y:.2f}<extra></extra>",
    } };
  }

  // Places and map of an entry; places stand only where they differ from those before.
  const placesAt = (rounds, index) => rounds.slice(0, index + 1).findLast((r) => r.positions).positions;

  views.antennas = (asked) => {
    const name = asked.get("scheme"), { region, rounds } = data.antennas[name];
    const index = Math.min(Number(asked.get("round")), rounds.length - 1), now = rounds[index];
    const at = placesAt(rounds, index), look = data.schemes[name];
    const high = Math.max(...rounds.filter((r) => r.map).map((r) => r.map.low_db + 255 * r.map.step_db));
    const rows = () => [["scheme", "round", "antenna", "x", "y"], ...rounds.flatMap((r, t) =>
      placesAt(rounds, t).map((p, n) => [look.label, r.round, n, ...p]))];
    const traces = [], flat = !region[1];
    const under = now.map ? ground(now.map, region, high) : null;
    if (under) traces.push(under.trace);
    const height = (p) => {
      if (!flat || !under) return p[1];
      const { x, y } = under.trace;
      return y[Math.round((p[0] / region[0]) * (x.length - 1))];
    };
    if (asked.get("trail") && !flat) {
      const moves = rounds.slice(0, index + 1).filter((r) => r.positions);
      const color = under ? "rgba(255,255,255,0.75)" : ink("soft"); // on the map, or on the card
      at.forEach((_, n) => {
        const way = moves.map((r) => r.positions[n]).filter(Boolean);
        traces.push({ x: way.map((p) => p[0]), y: way.map((p) => p[1]), mode: "lines",
          hoverinfo: "skip", line: { color, width: 1.5 } });
      });
    }
    traces.push({
      x: at.map((p) => p[0]), y: at.map(height), mode: "markers",
      marker: { color: under ? look.color : colorOf(look), symbol: look.symbol, size: 14,
        line: { color: "#ffffff", width: 2 } },
      text: at.map((p) => `${p[0].toFixed(3)}, ${p[1].toFixed(3)}`),
      hovertemplate: "antenna %{pointNumber}: %{text}<extra></extra>",
    });
    const margin = 0.03 * region[0];
    let level = axis("y [wavelengths]", { range: [-margin, region[1] + margin], scaleanchor: "x",
      constrain: "domain", showgrid: false });
    if (flat) level = under ? axis("Weakest client's gain [dB]")
      : axis("", { range: [-1, 1], showticklabels: false, showgrid: false, zeroline: true });
    return {
      traces, rows, second: under ? under.rows : null,
      said: `Round ${now.round} of ${rounds[rounds.length - 1].round}`, last: rounds.length - 1,
      layout: layout({ height: flat ? 320 : Math.min(500, window.innerWidth + 60), yaxis: level,
        xaxis: axis("x [wavelengths]", { range: [-margin, region[0] + margin], showgrid: false,
          constrain: "domain" }) }),
    };
  };

  views.clients = (asked) => {
    const name = asked.get("scheme"), table = data.clients[name];
    const there = ["participation", ...Object.keys(data.clientFigures)].filter((k) => table[k]);
    const key = table[asked.get("figure")] ? asked.get("figure") : "participation";
    const about = data.clientFigures[key] || { label: "Transmitted", unit: "" };
    const all = table.clients, height = Math.min(640, 170 + 20 * all.length);
    const rows = () => [["scheme", "round", "client", ...there], ...table.rounds.flatMap((round, t) =>
      all.map((k, i) => [data.schemes[name].label, round, k, ...there.map((f) => table[f][t][i])]))];
    const bar = colorbar(withUnit(about.label, about.unit));
    return {
      rows, said: key === asked.get("figure") ? "" : "Not recorded for this scheme; shown: participation.",
      traces: [{
        type: "heatmap", x: table.rounds, y: all, z: all.map((_, i) => table[key].map((row) => row[i])),
        colorscale: key === "participation" ? [[0, ink("line")], [1, "#0072b2"]] : "Viridis",
        ...(key === "participation" ? { zmin: 0, zmax: 1, showscale: false } : { colorbar: bar }),
        ...gaps("clients", table.rounds.length, all.length, height - 120),
        hovertemplate: `client %{y}, round %{x}: %{z:.4~g} ${about.unit}<extra></extra>`,
      }],
      layout: layout({ height, xaxis: roundAxis(Math.max(...table.rounds), { showgrid: false }),
        yaxis: clientAxis(all, { autorange: "reversed" }) }),
    };
  };

  views.forecast = (asked) => {
    const name = asked.get("scheme"), forecast = data.forecasts[name], [x, y] = forecast.measured;
    const hue = dark.matches ? "#ff9a55" : "#b34a00", blue = dark.matches ? "#3fa3e0" : "#0072b2";
    const rows = () => [["round", "predicted", "limit", "measured"], ...forecast.at.map((t, i) => {
      return [t, forecast.predicted[i], forecast.late ? forecast.late[i] : null, y[x.indexOf(t)]];
    })];
    const traces = [];
    if (forecast.late) {
      traces.push(band({ low: forecast.predicted, high: forecast.late }, forecast.at,
        { color: hue, dark: hue }, "Predicted"));
      traces[0].name = "Up to the limit";
    }
    const hovertemplate = "%{y:.4~g}";
    traces.push({ x: forecast.at, y: forecast.predicted, mode: "lines", name: "Predicted",
      line: { color: hue, width: 2 }, hovertemplate },
    { x, y, mode: "markers", name: "Measured", marker: { color: blue, size: 7 }, hovertemplate });
    return { traces, rows, layout: layout({
      height: 360, hovermode: "x unified", showlegend: true, ...line(forecast.target, "predicted target"),
      xaxis: roundAxis(forecast.at[forecast.at.length - 1]), yaxis: axis("Validation loss [nat]") }) };
  };

  views.domains = () => {
    const { label, before, after } = data.domains, names = Object.keys(after);
    const domains = [...new Set([...Object.keys(before), ...names.flatMap((n) => Object.keys(after[n]))])].sort();
    const rows = () => [["domain", "before", ...names.map((n) => data.schemes[n].label)],
      ...domains.map((d) => [d, before[d], ...names.map((n) => after[n][d])])];
    const percent = (by) => domains.map((d) => (known(by[d]) ? 100 * by[d] : null));
    const one = (by, name, marker) => ({ x: percent(by), y: domains.map((_, i) => i), name, marker,
      text: domains.map(plain), mode: "markers", hovertemplate: "%{text}: %{x:.1f} %" });
    const tick = { color: ink("soft"), symbol: "line-ns-open", size: 14, line: { width: 2 } };
    const traces = [one(before, "Before", tick), ...names.map((n) => one(after[n], labelOf(n),
      { color: colorOf(data.schemes[n]), symbol: data.schemes[n].symbol, size: 9 }))];
    return { traces, rows, layout: layout({
      height: 150 + 34 * domains.length, showlegend: true,
      xaxis: axis(`${label} [%]`, { range: [-3, 103] }), yaxis: namedRows(domains) }) };
  };

  views.holdings = () => {
    const { labels, counts } = data.holdings, all = counts[0].map((_, k) => k);
    const rows = () => [["label", "client", "records"],
      ...labels.flatMap((label, i) => all.map((k) => [label, k, counts[i][k]]))];
    return { rows, traces: [{
      type: "heatmap", x: all, y: labels.map((_, i) => i), z: counts,
      text: labels.map((label) => all.map(() => plain(label))), colorscale: "Cividis",
      ...gaps("holdings", all.length, labels.length, 24 * labels.length),
      colorbar: colorbar("Records"),
      hovertemplate: "client %{x}, %{text}: %{z} records<extra></extra>",
    }], layout: layout({ height: 150 + 24 * labels.length,
      xaxis: clientAxis(all), yaxis: namedRows(labels, { showgrid: false }) }) };
  };

  const figureOf = (element) => element.closest("figure");
  function view(figure) {
    const form = figure.querySelector("form");
    return views[figure.id](form ? new FormData(form) : new FormData());
  }

  function draw(figure) {
    const shown = view(figure);
    Plotly.react(figure.querySelector(".draw"), shown.traces, shown.layout, config);
    const said = figure.querySelector("output");
    if (said && known(shown.said)) said.textContent = shown.said;
    const slider = figure.querySelector("input[type=range]");
    if (slider) slider.max = shown.last;
    if (slider) slider.setAttribute("aria-valuetext", shown.said);
    const second = figure.querySelector("[data-part=second]");
    if (second) second.hidden = !shown.second;
  }

  function save(name, text, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${data.name.replace(/[^\w.-]+/g, "-")}-${name}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function cell(value) {
    if (!known(value)) return "";
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value); // no formula of a spreadsheet
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }
  const csv = (rows) => rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  function play(button) {
    const slider = figureOf(button).querySelector("input[type=range]");
    let timer;
    const move = (value) => {
      slider.value = value;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const stop = () => {
      [timer, button.textContent] = [clearInterval(timer), "Play"];
    };
    button.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(slider.value) >= Number(slider.max)) move(slider.min);
      button.textContent = "Pause";
      timer = setInterval(() => {
        move(Number(slider.value) + 1);
        if (Number(slider.value) >= Number(slider.max)) stop();
      }, STEP_MS);
      return undefined;
    });
  }

  const figures = [...document.querySelectorAll("figure[id]")];
  const drawAll = () => figures.forEach(draw);
  for (const figure of figures) {
    const form = figure.querySelector("form");
    if (form) {
      form.addEventListener("input", () => draw(figure));
      form.addEventListener("submit", (event) => event.preventDefault());
    }
    figure.querySelectorAll("[data-play]").forEach(play);
    figure.querySelectorAll("[data-csv]").forEach((button) => button.addEventListener("click", () => {
      const shown = view(figure), second = button.dataset.part === "second";
      save(`${figure.id}${second ? "-map" : ""}.csv`, csv((second ? shown.second : shown.rows)()), "text/csv");
    }));
  }
  const onClick = (which, work) => document.querySelectorAll(which).forEach((button) =>
    button.addEventListener("click", () => work(button.dataset)));
  onClick("[data-scenario]", () => save("scenario.yaml", data.scenario, "application/yaml"));
  onClick("[data-table]", ({ table }) => save(`${table}.csv`, csv(data.tables[table]), "text/csv"));
  const redraw = (night) => {
    dark.matches = night;
    document.documentElement.toggleAttribute("data-light", !night);
    drawAll();
  };
  system.addEventListener("change", () => redraw(system.matches));
  addEventListener("beforeprint", () => redraw(false));
  addEventListener("afterprint", () => redraw(system.matches));
  drawAll();
})();
