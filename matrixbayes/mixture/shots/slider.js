// The posterior at each shot of a path, moved by a slider.  Text is set as text, never as HTML;
// colours are the page's own, so that it goes with any theme.
function make(parent, tag, style, text) {
  const element = document.createElement(tag);
  element.style.cssText = style;
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
}

function percent(value) {
  return value > 0 && value < 0.0005 ? "<0.1%" : (100 * value).toFixed(1) + "%";
}

function rowsOf(parent, names, colour) {
  const table = make(parent, "div",
    "display:grid;grid-template-columns:max-content minmax(8em,1fr) 4em;gap:.25em .7em;align-items:center");
  return names.map((name) => {
    make(table, "div", "text-align:right;unicode-bidi:isolate", name);
    const track = make(table, "div",
      "position:relative;height:1em;background:rgba(128,128,128,.15)");
    const bar = make(track, "div", `position:absolute;inset:0 auto 0 0;background:${colour}`);
    const band = make(track, "div",
      "position:absolute;top:42%;height:16%;background:currentColor;opacity:.6");
    const mark = make(track, "div",
      "position:absolute;top:15%;width:.6em;height:70%;margin-left:-.3em;border-radius:50%;" +
      "background:#D55E00;display:none");
    return { bar, band, mark, text: make(table, "div", "font-variant-numeric:tabular-nums") };
  });
}

function render({ model, el }) {
  const data = model.get("data");
  const box = make(el, "div", "max-width:46em;color:inherit;font-size:.95em");
  const head = make(box, "div", "display:flex;gap:.7em;align-items:center;margin:.3em 0");
  const play = make(head, "button", "min-width:4.5em", "play");
  const input = make(head, "input", "flex:1");
  input.type = "range";
  input.min = 0;
  input.max = data.shots.length - 1;
  input.setAttribute("aria-label", "demonstrations seen");
  const title = make(box, "div", "font-weight:600;margin:.4em 0;unicode-bidi:isolate");
  const tokens = rowsOf(box, data.tokens, "rgba(0,114,178,.55)");
  make(box, "div", "opacity:.75;font-size:.9em;margin:.3em 0 .8em", data.words);
  const several = data.components.length > 1;
  if (several) make(box, "div", "font-weight:600;margin:.4em 0", "weight of each component");
  const parts = several ? rowsOf(box, data.components, "rgba(0,158,115,.55)") : [];
  const below = make(box, "div", "opacity:.75;font-size:.9em;margin:.4em 0");

  function draw() {
    const i = Math.min(Math.max(model.get("frame"), 0), data.shots.length - 1);
    const share = (value) => (100 * Math.min(value / data.top, 1)).toFixed(2) + "%";
    input.value = i;
    title.textContent = data.titles[i];
    below.textContent = data.below[i];
    tokens.forEach((row, k) => {
      row.bar.style.width = share(data.mean[i][k]);
      row.band.style.left = share(data.low[i][k]);
      row.band.style.width = share(data.high[i][k] - data.low[i][k]);
      row.text.textContent = percent(data.mean[i][k]);
      if (data.own) {
        row.mark.style.display = "block";
        row.mark.style.left = share(data.own[i][k]);
      }
    });
    parts.forEach((row, k) => {
      row.bar.style.width = (100 * data.weights[i][k]).toFixed(2) + "%";
      row.band.style.display = "none";
      row.text.textContent = percent(data.weights[i][k]);
    });
  }

  function go(i) {
    model.set("frame", i);
    model.save_changes();
  }

  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "play";
  }
  input.addEventListener("input", () => { stop(); go(Number(input.value)); });
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    const last = data.shots.length - 1;
    if (model.get("frame") >= last) go(0);
    play.textContent = "stop";
    timer = setInterval(() => {
      if (model.get("frame") >= last) return stop();
      go(model.get("frame") + 1);
    }, 400);
  });
  model.on("change:frame", draw);
  draw();
  return () => { stop(); model.off("change:frame", draw); };
}

export default { render };
