// The browser's half of an explorer: build the inputs, ask Python for the picture, show it.
// scene.js, which draws it, stands above this file in the same module.

const PATIENCE = 3000; // milliseconds until a reader hears that the kernel does not answer
let created = 0;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// ---- controls: each is {node, get, set}, a slider also {end}; changed(name) is called on every move

function control(face, id, changed) {
  const label = element("label", { for: id }, face.label);
  const row = (...nodes) => element("div", { class: "control" }, label, ...nodes);
  const tell = () => changed(face.name);
  if (face.kind === "Choice") {
    const input = element("select", { id }, ...face.options.map((option, i) => element("option", { value: i }, option)));
    input.addEventListener("input", tell);
    return { node: row(input), get: () => Number(input.value), set: (value) => { input.value = value; } };
  }
  if (face.kind === "Toggle") {
    const input = element("input", { id, type: "checkbox" });
    input.addEventListener("input", tell);
    return { node: row(input), get: () => input.checked, set: (value) => { input.checked = value; } };
  }
  if (face.kind === "Text") {
    const input = element("input", { id, type: "text", maxlength: face.max_length, autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", tell);
    return { node: row(input), get: () => input.value, set: (value) => { input.value = value; } };
  }
  const input = element("input", { id, type: "range", min: face.minimum, max: face.maximum, step: face.step });
  const output = element("output", { for: id });
  const read = () => {
    const unit = face.counts ? `of ${input.max}` : face.unit;
    output.textContent = `${number(Number(input.value), face.decimals)} ${unit}`.trim();
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { read(); tell(); });
  const slide = element("div", { class: "slide" }, input, output);
  if (face.steps_per_second) slide.append(playButton(face, input));
  const end = (most) => {
    input.max = Math.max(face.minimum, Math.min(face.maximum, most));
    input.value = input.max;
    read();
  };
  return { node: row(slide), get: () => Number(input.value), set: (value) => { input.value = value; read(); }, end };
}

function playButton(face, input) {
  const button = element("button", { type: "button", "aria-label": `play ${face.label}`, "aria-pressed": "false" }, "▶");
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.setAttribute("aria-pressed", "false");
    button.textContent = "▶";
  };
  const step = () => {
    if (!button.isConnected || Number(input.value) >= Number(input.max)) return stop();
    input.stepUp();
    input.dispatchEvent(new Event("input"));
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(input.value) >= Number(input.max)) input.value = face.minimum;
    button.setAttribute("aria-pressed", "true");
    button.textContent = "❚❚";
    timer = setInterval(step, 1000 / face.steps_per_second);
  });
  return button;
}

// ---- the widget

function render({ model, el }) {
  const face = model.get("_face"), map = colourMap(face.diverging), me = `rnn-explorer-${++created}`;
  const canvas = element("canvas", { role: "img", "aria-label": face.title || "picture", "aria-describedby": `${me}-alt` });
  const alt = element("p", { id: `${me}-alt`, class: "alt", "aria-live": "polite" });
  const alarm = element("p", { role: "alert" });
  const waiting = element("p", { class: "waiting", role: "status", hidden: "" });
  const controls = Object.fromEntries(face.controls.map((c) => [c.name, control(c, `${me}-${c.name}`, changed)]));
  const form = element("form", {}, ...Object.values(controls).map((c) => c.node));
  form.addEventListener("submit", (event) => event.preventDefault());
  // JupyterLab takes arrow keys for itself (next cell, fold heading) unless the very element in focus asks it not to
  for (const input of form.elements) input.dataset.lmSuppressShortcuts = "true";
  const root = element("section", { class: "rnn-explorer", "aria-label": face.title || "explorer" });
  if (face.title) root.append(element("h3", {}, face.title));
  if (face.description) root.append(element("p", {}, face.description));
  root.append(form, canvas, alarm, waiting, alt);
  el.append(root);

  let asked = 0, question = null, newer = false, width = 0, frame = 0, patience = 0, calm = 0;

  function follow(name) { // a slider that counts a text ends where the text ends, and goes there
    for (const c of face.controls) if (c.counts === name) controls[c.name].end([...controls[name].get()].length);
  }

  function changed(name) { // ask at once, or, while an answer is on its way, as soon as it is here
    if (name) follow(name);
    if (question) { newer = true; return; }
    newer = false;
    question = `${me}:${++asked}`;
    const values = Object.fromEntries(Object.entries(controls).map(([name, c]) => [name, c.get()]));
    model.send({ id: question, values });
    patience = setTimeout(() => {
      question = null;
      waiting.hidden = false;
      waiting.textContent = "The kernel does not answer: it is busy, or it was restarted (then run this cell again).";
    }, PATIENCE);
  }

  function answered() {
    const picture = model.get("_picture");
    if (picture.answers && picture.answers.startsWith(`${me}:`)) {
      clearTimeout(patience);
      waiting.hidden = true;
      question = null;
      if (newer) changed();
    } else {
      const put = () => Object.entries(picture.values).forEach(([name, value]) => controls[name].set(value));
      put();
      Object.keys(controls).forEach(follow);
      put();
    }
    draw(); // at once, so that the next frame paints it; answers come one at a time
  }

  function draw() {
    cancelAnimationFrame(frame);
    frame = 0;
    const picture = model.get("_picture");
    alarm.textContent = picture.error;
    if (!canvas.clientWidth) return; // not on the page yet: the size observer calls again
    width = canvas.clientWidth;
    drawScene(canvas, picture.spec, picture.data, face.palette, map);
    if (alt.textContent !== picture.spec.alt) { // seen at once, spoken when the slider rests
      alt.setAttribute("aria-busy", "true");
      alt.textContent = picture.spec.alt;
      clearTimeout(calm);
      calm = setTimeout(() => alt.setAttribute("aria-busy", "false"), 400);
    }
    canvas.dataset.drawn = picture.number;
  }

  model.on("change:_picture", answered);
  const again = () => { frame ||= requestAnimationFrame(draw); };
  const size = new ResizeObserver(() => { if (canvas.clientWidth !== width) again(); });
  size.observe(canvas);
  const theme = new MutationObserver(again);
  theme.observe(document.body, { attributes: true });
  answered();
  return () => {
    model.off("change:_picture", answered);
    size.disconnect();
    theme.disconnect();
    clearTimeout(patience);
  };
}

export default { render };
