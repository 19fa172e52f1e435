// The live page in the browser: draws what the server says, and tells it what was changed.
"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const BASE = { x: 320, y: 330 }, REACH = 300;
  const EVERY_MS = 25;
  const by = (id) => document.getElementById(id);
  const recent = new Map();  // where the hand has put a station, for as long as the server may lag
  let state = null, reach = 1, held = null, quiet = 0, opened = null, pressed = "";

  const tell = (action, more) => globalThis.emitEvent?.("airtune", { action, ...more });

  // What comes faster than the server is asked for is left out, but never the last of it.
  const waiting = new Map();
  function tellLatest(key, action, more) {
    if (waiting.has(key)) { waiting.get(key).more = more; return; }
    tell(action, more);
    const slot = { more: null };
    waiting.set(key, slot);
    setTimeout(() => {
      waiting.delete(key);
      if (slot.more) tellLatest(key, action, slot.more);
    }, EVERY_MS);
  }

  function element(name, attributes, parent) {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent?.append(made);
    return made;
  }

  const number = (x, digits) => x.toLocaleString("en", { maximumFractionDigits: digits }).replace("-", "−");
  const decibels = (x) => `${x.toFixed(1).replace("-", "−")} dB`;
  function quantity(x, unit) {
    const [scale, prefix] = [[1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]].find(([s]) => x >= s) ?? [1, ""];
    return `${Number((x / scale).toPrecision(3)).toLocaleString("en")} ${prefix}${unit}`;
  }
  function say(id, text) {
    const place = by(id);
    if (place && place.textContent !== text) place.textContent = text;
  }
  function alarm(id, text) {
    const place = by(id);
    if (!place) return;
    say(id, text ?? "");
    place.hidden = !text;
  }

  // ---- the map of the cell -------------------------------------------------------------------

  const radians = (deg) => deg * Math.PI / 180;
  const onMap = ([distance, azimuth]) => [
    BASE.x + REACH * distance / reach * Math.sin(radians(azimuth)),
    BASE.y - REACH * distance / reach * Math.cos(radians(azimuth)),
  ];
  function niceStep(most) {
    const rough = most / 5, power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((x) => x * power >= rough);
  }

  function drawGround(svg) {
    svg.querySelector(".under")?.remove();
    const under = element("g", { class: "under", "aria-hidden": "true" });
    svg.prepend(under);
    const half = (r) => `M${BASE.x - r},${BASE.y}A${r},${r} 0 0 1 ${BASE.x + r},${BASE.y}`;
    element("path", { class: "ground", d: `${half(REACH)}Z` }, under);
    const step = niceStep(reach);
    const rings = Math.ceil(reach * 0.999 / step) - 1;
    for (let ring = 1; ring <= rings; ring += 1) {
      const metres = ring * step;
      const r = REACH * metres / reach;
      element("path", { class: "ring", d: half(r) }, under);
      element("text", { x: BASE.x + r, y: BASE.y + 15, "text-anchor": "middle" }, under).textContent = number(metres, 0) + (ring === rings ? " m" : "");
    }
    element("rect", { class: "base", x: BASE.x - 22, y: BASE.y - 3, width: 44, height: 6, rx: 2 }, under);
  }

  function title(group, index, [distance, azimuth, elevation]) {
    const side = Math.abs(azimuth) < 0.5 ? "straight ahead" : `${number(Math.abs(azimuth), 0)}° to the ${azimuth > 0 ? "right" : "left"}`;
    const height = `${number(Math.abs(elevation), 0)}° ${elevation < 0 ? "down" : "up"}`;
    return `${group === "clients" ? "Client" : "Interferer"} ${index + 1}: ${number(distance, 0)} m, ${side}, ${height}`;
  }

  function station(svg, group, index) {
    const id = `${group}-${index}`;
    const there = svg.querySelector(`[data-id="${id}"]`);
    if (there) return there;
    const made = element("g", { class: `station ${group}`, "data-id": id, tabindex: 0, role: "button", "aria-describedby": "cell-caption" }, svg);
    element("title", {}, made);
    const face = element("g", { class: "face" }, made);
    element("circle", { class: "hit", r: 15 }, face);
    if (group === "clients") element("circle", { class: "mark", r: 9.5 }, face);
    else element("rect", { class: "mark", x: -9, y: -9, width: 18, height: 18, rx: 2, transform: "rotate(45)" }, face);
    element("text", { y: 4 }, face).textContent = index + 1;
    return made;
  }

  function place(svg, group, index, spot) {
    const made = station(svg, group, index), [x, y] = onMap(spot), text = title(group, index, spot);
    made.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)})`);
    made.setAttribute("aria-label", text);
    made.firstChild.textContent = text;
  }

  function drawCell() {
    const svg = by("cell-map")?.querySelector("svg");
    if (!svg) return;
    const groups = Object.entries(state.stations);
    if (!held && performance.now() > quiet) {
      const farthest = Math.max(1, ...groups.flatMap(([, spots]) => spots.map(([d]) => d)));
      // The scale stays while somebody is moved inwards, so that the map does not jump.
      if (farthest > reach || farthest < reach / 2) { reach = 1.1 * farthest; }
      drawGround(svg);
    }
    const wanted = new Set();
    for (const [group, spots] of groups) {
      spots.forEach((spot, index) => {
        wanted.add(`${group}-${index}`);
        if (held?.id !== `${group}-${index}` && (performance.now() > quiet || !svg.querySelector(`[data-id="${group}-${index}"]`))) place(svg, group, index, spot);
      });
    }
    svg.querySelectorAll(".station").forEach((one) => { if (!wanted.has(one.dataset.id)) one.remove(); });
    say("cell-note", !state.movable ? `The channel ${state.channel} places the stations by itself.`
      : state.sight ? "" : "Scatterers are all around: of a station's place only the distance counts.");
  }

  function moved(id, spot, soon) {
    const [group, index] = [id.split("-")[0], Number(id.split("-")[1])];
    const clamped = [Math.min(1e5, Math.max(1, spot[0])), Math.min(89, Math.max(-89, spot[1])), Math.min(89, Math.max(-89, spot[2]))];
    state.stations[group][index] = clamped;
    quiet = performance.now() + 300;
    recent.set(id, { spot: clamped, until: quiet });
    setTimeout(() => { if (performance.now() > quiet && !held) drawCell(); }, 320);
    place(by("cell-map").querySelector("svg"), group, index, clamped);
    stale();
    tellLatest(soon, "move", { group, index, spot: clamped });
  }

  document.addEventListener("pointerdown", (event) => {
    const target = event.target.closest?.(".station");
    if (!target || event.button > 0) return;
    event.preventDefault();
    target.focus({ preventScroll: true });
    target.setPointerCapture(event.pointerId);
    target.classList.add("held");
    held = { id: target.dataset.id, target };
  });
  document.addEventListener("pointermove", (event) => {
    if (!held) return;
    const svg = held.target.ownerSVGElement;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const [right, ahead] = [at.x - BASE.x, Math.max(2, BASE.y - at.y)];
    const [group, index] = held.id.split("-");
    const distance = Math.min(REACH, Math.hypot(right, ahead)) * reach / REACH;
    moved(held.id, [distance, Math.atan2(right, ahead) * 180 / Math.PI, state.stations[group][index][2]], "drag");
  });
  function letGo() {
    if (!held) return;
    held.target.classList.remove("held");
    held = null;
  }
  document.addEventListener("pointerup", letGo);
  document.addEventListener("pointercancel", letGo);

  const STEPS = { ArrowUp: [1, 0, 0], ArrowDown: [-1, 0, 0], ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1] };
  document.addEventListener("keydown", (event) => {
    const target = event.target.closest?.(".station"), step = STEPS[event.key];
    if (!target || !step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const [group, index] = target.dataset.id.split("-"), spot = state.stations[group][index];
    const size = event.shiftKey ? 5 : 1, metres = reach / 60;
    moved(target.dataset.id, [spot[0] + size * step[0] * metres, spot[1] + 2 * size * step[1], spot[2] + 5 * size * step[2]], "key");
  });

  // ---- the antennas --------------------------------------------------------------------------

  function drawArray(look) {
    const svg = by("array-map")?.querySelector("svg");
    if (!svg) return;
    const [width, height] = look.region, flat = height <= 0, margin = 26;
    const scale = Math.min(588 / Math.max(width, 0.1), 440 / Math.max(height, 0.1));
    const tall = flat ? 40 : height * scale, wide = Math.max(width * scale, 1), left = (640 - wide) / 2;
    svg.setAttribute("viewBox", `0 0 640 ${(tall + 2 * margin).toFixed(1)}`);
    const at = ([x, y]) => [left + x * scale, margin + (flat ? tall / 2 : tall - y * scale)];
    const parts = document.createDocumentFragment();
    const clip = element("clipPath", { id: "region" }, parts);
    element("rect", { x: left, y: margin, width: wide, height: tall }, clip);
    // Places lie in the middle of the pixels, the outer ones on the frame.
    const [across, along] = look.places;
    const dx = across > 1 ? wide / (across - 1) : wide, dy = along > 1 ? tall / (along - 1) : 0;
    element("image", { href: look.image, x: left - dx / 2, y: margin - dy / 2, width: wide + dx, height: tall + dy, preserveAspectRatio: "none", "clip-path": "url(#region)" }, parts);
    element("rect", { class: "frame", x: left, y: margin, width: wide, height: tall }, parts);
    look.parked.forEach((from, n) => {
      const [a, b] = [at(from), at(look.movable[n])];
      element("path", { class: "way", d: `M${a}L${b}` }, parts);
    });
    for (const spot of look.fixed) {
      const [x, y] = at(spot);
      element("rect", { class: "fixed", x: x - 7, y: y - 7, width: 14, height: 14 }, parts);
    }
    for (const spot of look.movable) {
      const [x, y] = at(spot);
      element("circle", { class: "movable", cx: x, cy: y, r: 9 }, parts);
    }
    element("text", { x: left, y: margin + tall + 17 }, parts).textContent = "0";
    element("text", { x: left + wide, y: margin + tall + 17, "text-anchor": "end" }, parts).textContent = `${number(width, 2)} λ`;
    if (!flat) element("text", { x: left, y: margin - 8 }, parts).textContent = `${number(height, 2)} λ`;
    svg.replaceChildren(parts);
    svg.setAttribute("aria-label", `${look.movable.length} antennas over the gain map of a region of ${number(width, 2)} by ${number(height, 2)} wavelengths; positions are in the table below`);
    say("low", decibels(look.lowDb));
    say("high", decibels(look.highDb));
    say("seconds", `Computed in ${quantity(look.seconds, "s")}.`);
    const cell = (value) => { const made = document.createElement("td"); made.textContent = value; return made; };
    by("positions")?.tBodies[0].replaceChildren(...look.movable.map((spot, n) => {
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = n + 1;
      row.append(head, ...[...spot, ...(look.fixed[n] ?? ["", ""])].map((x) => cell(x === "" ? "" : x.toFixed(3))));
      return row;
    }));
    by("array-map").classList.remove("stale");
  }
  const stale = () => by("array-map")?.classList.add("stale");

  let spoken = 0;
  function figures(look) {
    const less = look.fixedErrorDb - look.movableErrorDb;
    say("movable-error", decibels(look.movableErrorDb));
    say("fixed-error", decibels(look.fixedErrorDb));
    say("gain", `${decibels(Math.abs(less))} ${less < 0 ? "more" : "less"}`);
    const way = by("way"), small = document.createElement("small");
    small.textContent = `${quantity(look.moveS, "s")}, ${quantity(look.moveJ, "J")}`;
    way?.replaceChildren(`${number(look.way, 2)} λ`, small);
    const all = state.settings["clients.count"], notes = [];
    if (look.senders < all) notes.push(`Of ${all} clients ${look.senders} send in this round.`);
    if (look.leftOut.length) notes.push(`A run meets more than these errors hold: ${look.leftOut.join(", ")}.`);
    alarm("left-out", notes.join(" "));
    clearTimeout(spoken);
    // A screen reader is told when the hand rests.
    if (!state.stale) spoken = setTimeout(() => say("summary", `Aggregation error ${decibels(look.movableErrorDb)} with movable antennas, ${decibels(look.fixedErrorDb)} with the fixed array.`), 700);
  }

  // ---- the settings --------------------------------------------------------------------------

  const written = (input) => `${number(Number(input.value), 2)}${input.dataset.unit ? ` ${input.dataset.unit}` : ""}`;
  function drawSettings() {
    for (const input of document.querySelectorAll("[data-set]")) {
      const value = state.settings[input.dataset.set];
      if (performance.now() < quiet && input === document.activeElement) continue;
      if (input.type === "range") {
        input.min = Math.min(input.min, value);
        input.max = Math.max(input.max, value);
        // A value between the steps stays as it is until the slider is moved.
        const first = Number(input.min), between = Math.abs((value - first) / Number(input.step) % 1);
        if (between > 1e-9 && between < 1 - 1e-9) input.step = "any";
      }
      if (input.value !== String(value)) input.value = value;
      if (input.type === "range") {
        const shown = written(input);
        input.nextElementSibling.textContent = shown;
        input.setAttribute("aria-valuetext", shown);
      }
    }
    const source = by("source");
    if (source && source.value !== state.source) {
      if (![...source.options].some((one) => one.value === state.source)) source.append(new Option(state.source));
      source.value = state.source;
    }
    by("reset").disabled = !state.changed;
    const limits = [state.longest === null ? "" : `${state.longest} λ`, state.price ? `${state.price} dB for each λ` : ""].filter(Boolean);
    by("limit-row").hidden = !limits.length;
    say("limit-text", limits.length ? ` (${limits.join(", ")})` : "");
    document.querySelector("[data-limit]").checked = state.limited;
    by("moved-note").hidden = !state.moved;
  }

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (!input.dataset?.set || input.type !== "range") return;
    quiet = performance.now() + 300;
    const shown = written(input);
    input.nextElementSibling.textContent = shown;
    input.setAttribute("aria-valuetext", shown);
    stale();
    tellLatest("set", "set", { name: input.dataset.set, value: Number(input.value) });
  });
  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.tagName === "SELECT" && input.dataset.set) tell("set", { name: input.dataset.set, value: input.value });
    else if (input.dataset?.source !== undefined) tell("open", { source: input.value });
    else if (input.dataset?.limit !== undefined) tell("limit", { limited: input.checked });
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id === "settings") event.preventDefault();
    if (event.target.id !== "start") return;
    event.preventDefault();
    const form = new FormData(event.target);
    alarm("start-error", "");
    event.target.querySelector("button.main").disabled = true;
    tell("start", {
      name: form.get("name"), schemes: form.getAll("scheme"), rounds: Number(form.get("rounds")), seeds: Number(form.get("seeds")),
      settings: form.get("settings").split("\n").map((line) => line.trim()).filter(Boolean),
    });
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-do]"), again = event.target.closest?.("[data-again]");
    if (button) {
      recent.clear();
      if (button.dataset.run) { button.disabled = true; pressed = button.id; }
      tell(button.dataset.do, { run: button.dataset.run });
    }
    if (again) document.querySelectorAll("iframe").forEach((frame) => { frame.src = frame.getAttribute("src"); });
  });

  // ---- what the server calls -----------------------------------------------------------------

  globalThis.airtune = {
    show(message) {
      if (!by("cell-map")) return;
      state = message;
      for (const [id, { spot, until }] of recent) {
        const [group, index] = id.split("-");
        if (performance.now() > until || !state.stations[group][index]) recent.delete(id);
        else state.stations[group][index] = spot;
      }
      by("warming").hidden = !message.warming;
      if (message.warming) {
        say("warming-text", `${message.warming.text} …`);
        by("warming-bar").value = message.warming.step;
      }
      alarm("refused", message.error);
      drawSettings();
      drawCell();
      if (message.look) { drawArray(message.look); figures(message.look); }
      // Figures of an earlier cell stay until the new ones are there, or where there can be none.
      if (message.stale) { stale(); say("seconds", "Of an earlier state of the cell."); }
      document.querySelector(".tiles")?.classList.toggle("stale", Boolean(message.stale));
    },
    // The scenario's own values, once for each scenario: what a person has typed stays.
    form(values) {
      const form = by("start");
      if (!form || opened === values.source) return;
      opened = values.source;
      form.rounds.value = values.rounds;
      form.seeds.value = values.seeds;
      for (const box of form.querySelectorAll("[name=scheme]")) box.checked = values.schemes.includes(box.value);
    },
    refused(text) {
      const start = document.querySelector("#start button.main");
      if (start?.disabled) { start.disabled = false; alarm("start-error", text); by("start-error").scrollIntoView({ block: "nearest" }); }
      else alarm(by("refused") ? "refused" : "alert", text);
      document.querySelectorAll("#live button:disabled").forEach((button) => { button.disabled = false; });
    },
    // New rows; marks and the focus stay, and a page that is being read is not loaded again.
    replace(html) {
      const live = by("live");
      if (!live) return;
      const focused = document.activeElement?.id || pressed, marked = [...live.querySelectorAll(":checked")].map((box) => box.id);
      const made = document.createElement("template");
      made.innerHTML = html;
      const [old, fresh] = [live.querySelector("iframe"), made.content.querySelector("iframe")];
      const folded = live.querySelector("details");
      if (folded && made.content.querySelector("details")) made.content.querySelector("details").open = folded.open;
      if (old && fresh && old.getAttribute("src") === fresh.getAttribute("src")) {
        // An iframe that leaves the document is loaded anew, so all around it is replaced.
        fresh.remove();
        for (const child of [...live.childNodes]) if (child !== old) child.remove();
        old.before(made.content);
      } else live.replaceChildren(made.content);
      for (const id of marked) if (by(id)) by(id).checked = true;
      // A button that was disabled when it was pressed has lost the focus, and another takes its place.
      const [, name] = focused.match(/^(?:stop|resume|forget)-(.*)$/s) ?? [];
      const heirs = name === undefined ? [focused] : [focused, `stop-${name}`, `resume-${name}`, `forget-${name}`, `open-${name}`];
      const heir = heirs.find((id) => id && by(id) && !by(id).disabled);
      if (heir && document.activeElement?.id !== heir) by(heir).focus({ preventScroll: true });
      if (heir !== pressed) pressed = "";
    },
  };
})();
