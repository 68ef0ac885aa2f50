"use strict";
(() => {
  // Text from files goes in as text nodes and attributes, never as markup.
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const clock = (seconds, long) => {
    const tenths = Math.round(10 * seconds);
    return long ? `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}` : (tenths / 10).toFixed(1);
  };
  // A name may break after an underscore, and elsewhere only where it must.
  const breakable = (name) => name.split(/(?<=_)/).flatMap((part, i) => i ? [document.createElement("wbr"), part] : [part]);

  markSection();
  const clips = document.getElementById("clips");
  if (clips) showClips(clips);
  const curves = document.getElementById("curves");
  if (curves) JSON.parse(curves.textContent).forEach((curve, i) => drawCurve(document.querySelector(`[data-curve="${i}"]`), curve));

  function markSection() {
    const links = [...document.querySelectorAll(".contents a")];
    const targets = links.map((link) => document.getElementById(link.hash.slice(1)));
    const update = () => {
      let current = 0;
      targets.forEach((target, i) => { if (target.getBoundingClientRect().top < innerHeight / 3) current = i; });
      if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) current = links.length - 1;
      links.forEach((link, i) => i === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    };
    if (!links.length) return;
    addEventListener("scroll", update, { passive: true });
    update();
  }

  // ---- clips: filter, order, pages -------------------------------------------------------------------------------

  function showClips(section) {
    const all = window.gmnClips;
    const found = section.querySelector(".found");
    if (!Array.isArray(all)) {
      found.textContent = "The file clips.js is missing: it belongs beside index.html.";
      return;
    }
    const size = Number(section.dataset.pageSize);
    const form = section.querySelector(".filters");
    const cards = section.querySelector(".cards");
    const orders = { // words, key, direction
      listed: ["as listed"],
      bitsLow: ["fewest bits per sample", "bits_per_sample", 1],
      bitsHigh: ["most bits per sample", "bits_per_sample", -1],
      sure: ["most certain genre", "genre_confidence", -1],
      unsure: ["least certain genre", "genre_confidence", 1],
    };
    const obeyedWords = new Map([[true, "obeyed"], [false, "not obeyed"], [null, "not judged"]]);
    let shown = all;
    let page = 0;

    // An option's value is the JSON of what it selects, so that a genre may have any name.
    for (const key of ["genre", "emotion", "health", "obeyed"]) {
      const counts = new Map();
      for (const clip of all) counts.set(clip[key], (counts.get(clip[key]) || 0) + 1);
      const word = (value) => key === "obeyed" ? obeyedWords.get(value) : value === null ? "none asked for" : value;
      const values = [...counts.keys()].sort((a, b) => (a === null) - (b === null) || word(a).localeCompare(word(b)));
      form.elements[key].append(make("option", { value: "" }, "all"));
      for (const value of values) form.elements[key].append(make("option", { value: JSON.stringify(value) }, `${word(value)} (${counts.get(value)})`));
    }
    for (const [name, [words, key]] of Object.entries(orders)) {
      if (!key || all.some((clip) => clip[key] !== null)) form.elements.order.append(make("option", { value: name }, words));
    }
    form.hidden = false;

    const pagers = [...section.querySelectorAll(".pager")];
    for (const pager of pagers) {
      pager.append(document.getElementById("pager").content.cloneNode(true));
      pager.addEventListener("click", (event) => {
        const go = event.target.closest("button")?.dataset.go;
        if (go) turn({ first: 0, previous: page - 1, next: page + 1, last: Infinity }[go], pager);
      });
      pager.querySelector("input").addEventListener("change", (event) => turn(Math.round(event.target.value || 1) - 1, pager));
    }
    form.addEventListener("input", select);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(select));
    select();

    function select() {
      const wanted = ["genre", "emotion", "health", "obeyed"]
        .filter((key) => form.elements[key].value !== "")
        .map((key) => [key, JSON.parse(form.elements[key].value)]);
      shown = all.filter((clip) => wanted.every(([key, value]) => clip[key] === value));
      const [, key, direction] = orders[form.elements.order.value];
      if (key) shown.sort((a, b) => (a[key] === null) - (b[key] === null) || direction * (a[key] - b[key]));
      page = 0;
      render();
    }

    function turn(to, pager) {
      page = Math.min(Math.max(to, 0), Math.max(Math.ceil(shown.length / size) - 1, 0));
      render();
      if (pager !== pagers[0]) section.scrollIntoView();
    }

    function render() {
      const pages = Math.ceil(shown.length / size);
      const first = page * size;
      const part = shown.slice(first, first + size);
      for (const audio of cards.querySelectorAll("audio")) audio.pause();
      cards.replaceChildren(...part.map(card));
      section.querySelector(".nothing").hidden = part.length > 0;
      const range = part.length ? `${first + 1}\u2013${first + part.length} of ${shown.length}` : "0";
      found.textContent = shown.length === all.length ? `${range} clips` : `${range} clips that match, ${all.length} in all`;
      for (const pager of pagers) {
        const [input, buttons] = [pager.querySelector("input"), pager.querySelectorAll("button")];
        pager.hidden = pages < 2;
        input.max = pages;
        input.value = page + 1;
        pager.querySelector(".pages").textContent = pages;
        for (const button of buttons) button.disabled = ["first", "previous"].includes(button.dataset.go) ? page === 0 : page >= pages - 1;
      }
    }
  }

  // ---- one clip --------------------------------------------------------------------------------------------------

  function card(clip) {
    const node = document.getElementById("clip-card").content.firstElementChild.cloneNode(true);
    const at = (selector) => node.querySelector(selector);
    const asked = [clip.genre, clip.emotion].filter((name) => name !== null).join(", ") || "nothing";
    const heard = [clip.predicted_genre, clip.predicted_emotion].filter((name) => name !== null).join(", ");
    at("img").alt = `Spectrogram of ${clip.clip_id}: asked for ${asked}${heard ? `, heard as ${heard}` : ""}`;
    at("img").src = clip.spectrogram;
    at(".name").textContent = clip.clip_id;
    at(".badge").textContent = clip.health;
    at(".badge").classList.add(clip.health === "ok" ? "good" : "bad");
    at(".badge").title = "health of the audio";
    for (const [head, wanted, got, sure] of [
      ["genre", clip.genre, clip.predicted_genre, clip.genre_confidence],
      ["emotion", clip.emotion, clip.predicted_emotion, null],
    ]) {
      if (wanted === null && got === null) continue;
      const verdict = wanted === null || got === null ? "" : wanted === got ? "yes" : "no";
      const answer = make("td", {}, make("span", verdict ? { class: verdict } : {}, ...breakable(got ?? "\u2013")));
      if (sure !== null && got !== null) answer.append(make("span", { class: "sure" }, ` ${(100 * sure).toFixed(0)}\u00a0%`));
      at(".answers tbody").append(make("tr", {}, make("th", { scope: "row" }, head), make("td", {}, ...breakable(wanted ?? "\u2013")), answer));
    }
    if (!at(".answers tbody").children.length) at(".answers").remove();
    const facts = [`#${clip.index}`, `seed ${clip.seed}`];
    if (clip.bits_per_sample !== null) facts.unshift(`${clip.bits_per_sample.toFixed(2)} bits a sample`);
    at(".facts").append(...facts.map((fact) => make("span", {}, fact)));
    at(".file").href = clip.audio;
    at(".file").setAttribute("aria-label", `Audio file of ${clip.clip_id}`);
    wire(node, clip);
    return node;
  }

  // The spectrogram is the seek bar: a transparent range input lies over it, a line shows the position.
  function wire(node, clip) {
    const [audio, button, seek, head, time] = ["audio", ".play", ".seek", ".playhead", ".time"].map((s) => node.querySelector(s));
    const length = () => (Number.isFinite(audio.duration) && audio.duration) || clip.seconds || 1;
    audio.src = clip.audio;
    button.setAttribute("aria-label", `Play ${clip.clip_id}`);
    seek.setAttribute("aria-label", `Position in ${clip.clip_id}`);
    const show = () => {
      const position = Math.min(audio.currentTime / length(), 1);
      head.hidden = audio.currentTime === 0;
      head.style.left = `${100 * position}%`;
      if (document.activeElement !== seek || !audio.paused) seek.value = 1000 * position;
      time.textContent = `${clock(audio.currentTime, length() >= 60)} / ${clock(length(), length() >= 60)}${length() >= 60 ? "" : " s"}`;
      seek.setAttribute("aria-valuetext", time.textContent);
      if (!audio.paused && node.isConnected) requestAnimationFrame(show);
    };
    const fail = () => {
      time.textContent = "cannot be played";
      time.classList.add("bad");
      node.classList.remove("playing");
    };
    button.addEventListener("click", () => {
      if (!audio.paused) return audio.pause();
      for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
      return audio.play().catch((error) => { if (error.name !== "AbortError") fail(); });
    });
    seek.addEventListener("input", () => { audio.currentTime = (seek.value / 1000) * length(); show(); });
    audio.addEventListener("play", () => { node.classList.add("playing"); button.setAttribute("aria-label", `Pause ${clip.clip_id}`); show(); });
    audio.addEventListener("pause", () => { node.classList.remove("playing"); button.setAttribute("aria-label", `Play ${clip.clip_id}`); });
    audio.addEventListener("ended", () => { audio.currentTime = 0; show(); });
    audio.addEventListener("error", fail);
    show();
  }

  // ---- curves ----------------------------------------------------------------------------------------------------

  function drawCurve(plot, curve) {
    const svg = plot.querySelector("svg");
    const readout = plot.querySelector(".readout");
    const draw = (tag, attributes, text = "") => {
      const node = document.createElementNS(svg.namespaceURI, tag);
      for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
      node.append(text);
      return node;
    };
    const real = curve.series.map((points) => points.filter(([, y]) => y !== null));
    const xs = [...new Set(real.flat().map(([x]) => x))].sort((a, b) => a - b);
    let scale = null;
    let chosen = -1;
    if (!xs.length) {
      plot.textContent = "No points.";
      return;
    }
    new ResizeObserver(paint).observe(plot);
    plot.addEventListener("pointermove", (event) => {
      const x = scale.valueAt(event.clientX - plot.getBoundingClientRect().left);
      point(nearest(xs.map((value) => [value]), x));
    });
    plot.addEventListener("pointerleave", () => point(-1));
    plot.addEventListener("blur", () => point(-1));
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const stride = Math.max(1, Math.round(xs.length / 100));
      point(chosen < 0 ? xs.length - 1 : Math.min(Math.max(chosen + step * stride, 0), xs.length - 1));
    });

    function paint() {
      const width = plot.clientWidth;
      const height = width < 480 ? 230 : 280;
      const ys = real.flat().map(([, y]) => y);
      const yTicks = ticks(Math.min(...ys), Math.max(...ys), 5);
      const xTicks = ticks(xs[0], xs[xs.length - 1], width < 480 ? 4 : 6);
      const left = 10 + 7 * Math.max(...yTicks.map((y) => label(y, yTicks).length));
      const box = { left, right: width - 12, top: 26, bottom: height - 40 };
      const [low, high] = [Math.min(yTicks[0], ...ys), Math.max(yTicks[yTicks.length - 1], ...ys)];
      const [from, to] = [xs[0], xs[xs.length - 1] > xs[0] ? xs[xs.length - 1] : xs[0] + 1];
      scale = {
        box,
        x: (x) => box.left + ((x - from) / (to - from)) * (box.right - box.left),
        y: (y) => box.bottom - ((y - low) / (high - low || 1)) * (box.bottom - box.top),
        valueAt: (pixel) => from + ((pixel - box.left) / (box.right - box.left)) * (to - from),
      };
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.replaceChildren(draw("text", { x: 0, y: 12 }, curve.y), draw("text", { x: box.right, y: height - 4, "text-anchor": "end" }, curve.x));
      for (const y of yTicks) {
        svg.append(draw("line", { class: "grid", x1: box.left, x2: box.right, y1: scale.y(y), y2: scale.y(y) }));
        svg.append(draw("text", { x: box.left - 8, y: scale.y(y) + 4, "text-anchor": "end" }, label(y, yTicks)));
      }
      svg.append(draw("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
      for (const x of xTicks.filter((value) => value >= from && value <= to)) {
        svg.append(draw("line", { class: "axis", x1: scale.x(x), x2: scale.x(x), y1: box.bottom, y2: box.bottom + 5 }));
        svg.append(draw("text", { x: scale.x(x), y: box.bottom + 19, "text-anchor": "middle" }, label(x, xTicks)));
      }
      curve.series.forEach((points, i) => {
        const own = `series-${i % 6}`;
        let move = true;
        const path = points.map(([x, y]) => {
          if (y === null) { move = true; return ""; }
          const step = `${move ? "M" : "L"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`;
          move = false;
          return step;
        });
        svg.append(draw("path", { class: `line ${own}`, d: path.join(""), ...(i > 5 ? { "stroke-dasharray": "6 4" } : {}) }));
        if (points.length === 1 && real[i].length) svg.append(draw("circle", { class: `dot ${own}`, cx: scale.x(points[0][0]), cy: scale.y(points[0][1]), r: 4 }));
      });
      point(-1);
    }

    function point(index) {
      chosen = index;
      svg.querySelectorAll(".hover").forEach((node) => node.remove());
      readout.hidden = index < 0;
      if (index < 0) return;
      const x = xs[index];
      const at = scale.x(x);
      svg.append(draw("line", { class: "hover cross", x1: at, x2: at, y1: scale.box.top, y2: scale.box.bottom }));
      readout.replaceChildren(make("div", {}, `${curve.x} ${Number(x.toPrecision(6))}`));
      real.forEach((points, i) => {
        if (!points.length) return;
        const [px, py] = points[nearest(points, x)];
        svg.append(draw("circle", { class: `hover dot series-${i % 6}`, cx: scale.x(px), cy: scale.y(py), r: 5 }));
        readout.append(make("div", {}, make("span", { class: `key series-${i % 6}` }), `${curve.names[i]} `, make("b", {}, Number(py.toPrecision(4)))));
      });
      const room = plot.clientWidth - readout.offsetWidth;
      readout.style.left = `${Math.max(0, Math.min(at + 14 > room ? at - 14 - readout.offsetWidth : at + 14, room))}px`;
    }
  }

  function nearest(points, x) {
    let [low, high] = [0, points.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - points[low - 1][0] < points[low][0] - x ? low - 1 : low;
  }

  // Round numbers that span low to high, about `count` of them.
  function ticks(low, high, count) {
    const span = high - low || Math.abs(high) || 1;
    const power = 10 ** Math.floor(Math.log10(span / count));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => span / s <= count) || 10 * power;
    const found = [];
    for (let i = Math.floor(low / step + 0.5); i <= Math.ceil(high / step - 0.5); i++) found.push(i * step);
    return found.length ? found : [low];
  }

  function label(value, all) {
    const step = all.length > 1 ? all[1] - all[0] : Math.abs(value) || 1;
    const [unit, suffix] = step >= 1e6 ? [1e6, "M"] : step >= 1e3 ? [1e3, "k"] : [1, ""];
    const digits = [0, 1, 2, 3, 4, 5, 6].find((d) => Math.abs(step / unit - Number((step / unit).toFixed(d))) < 1e-9 * step) ?? 6;
    return value === 0 ? "0" : (value / unit).toFixed(digits) + suffix;
  }
})();
