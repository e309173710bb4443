// Draws a Scene on a canvas: what scene.py describes and static.py draws with matplotlib.
// explorer.py hands this file and explorer.js to the browser as one module.

const GAP = 18, LINE = 17, NARROW = 300, BAR = 12; // pixels: between panels, of a text line, least panel width, colour bar

function number(value, decimals) {
  return value.toFixed(decimals).replace("-", "−");
}

// ---- colours

function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function colourMap(stops) {
  const anchors = stops.map(rgb);
  return (t) => { // t from -1 to 1
    const place = ((Math.max(-1, Math.min(1, t)) + 1) / 2) * (anchors.length - 1);
    const i = Math.min(Math.floor(place), anchors.length - 2);
    return anchors[i].map((low, k) => Math.round(low + (anchors[i + 1][k] - low) * (place - i)));
  };
}

function readable([r, g, b]) {
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#111" : "#fff";
}

// ---- axes

function scaler({ limits, scale }, from, to) {
  const f = scale === "log" ? Math.log10 : (v) => v;
  const [low, high] = limits.map(f);
  return (v) => from + ((f(v) - low) / (high - low)) * (to - from);
}

function superscript(power) {
  return String(power).replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
}

function scientific(value) {
  const [digits, power] = Number(value.toPrecision(3)).toExponential().split("e");
  return value ? `${digits.replace("-", "−")}×10${superscript(Number(power))}` : "0";
}

// Ticks as [value, text], at round numbers and at most `count` of them.
function ticks({ limits, scale, names, whole }, count) {
  const low = Math.min(...limits), high = Math.max(...limits);
  if (names.length) return names.map((name, i) => [i, name]).filter(([i]) => i >= low && i <= high);
  const found = [];
  if (scale === "log" && high / low >= 100) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const stride = Math.max(1, Math.ceil((last - first + 1) / count));
    for (let p = first; p <= last; p += stride) found.push([10 ** p, `10${superscript(p)}`]);
    return found;
  }
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].find((m) => m * power >= rough * 0.999) * power;
  if (whole) step = Math.max(1, step);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const plain = Math.max(Math.abs(low), Math.abs(high)) < 1e6 && decimals < 5;
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + step * 1e-6; k++) {
    found.push([k * step, plain ? number(k * step, decimals) : scientific(k * step)]);
  }
  return found;
}

// ---- layout: where every panel and its plot go, in pixels

function wrap(pen, text, width) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

const colourBar = (panel) => panel.marks.find((mark) => mark.kind === "Heatmap" && mark.label);

function legendOf(pen, panel, width) {
  const named = panel.marks.filter((mark) => mark.label && mark.kind !== "Heatmap" && mark.kind !== "Arrow");
  const entries = [];
  let room = 0, line = 0, next = 0; // `line`: where the present row starts, `next`: where the row after it does
  for (const mark of named) {
    const lines = wrap(pen, mark.label, width - 22), size = Math.min(width, pen.measureText(mark.label).width + 36);
    if (size > room) { line = next; room = width; }
    entries.push({ mark, lines, line, at: width - room });
    next = Math.max(next, line + lines.length);
    room -= size;
  }
  return { entries, length: next };
}

function layOut(pen, scene, width, fonts) {
  const columns = (width - GAP * (scene.columns - 1)) / scene.columns < NARROW ? 1 : scene.columns;
  const cell = (width - GAP * (columns - 1)) / columns;
  const places = scene.panels.map((panel, i) => {
    pen.font = fonts.title;
    const title = panel.title ? wrap(pen, panel.title, cell - 60) : [];
    pen.font = fonts.text;
    const legend = legendOf(pen, panel, cell - 60);
    const top = LINE * (title.length + legend.length) + (title.length || legend.length ? 8 : 6);
    const bottom = panel.axes ? LINE + 6 + (panel.x.label ? LINE : 0) : 6;
    const yTicks = panel.axes ? ticks(panel.y, (panel.height - top - bottom) / 34) : [];
    const longest = (list) => Math.max(0, ...list.map(([, text]) => pen.measureText(text).width));
    const left = panel.axes ? longest(yTicks) + 10 + (panel.y.label ? LINE + 2 : 0) : 4;
    const bar = colourBar(panel);
    const barTicks = bar ? ticks({ limits: bar.limits, scale: "linear", names: [] }, (panel.height - top - bottom) / 40) : [];
    const right = bar ? 10 + BAR + 6 + longest(barTicks) + LINE + 4 : 10;
    return { panel, title, legend, yTicks, barTicks, top, bottom, left, right, column: i % columns, row: Math.floor(i / columns) };
  });
  let y = 0;
  for (let row = 0; row <= places.at(-1).row; row++) {
    const inRow = places.filter((p) => p.row === row);
    const top = Math.max(...inRow.map((p) => p.top)), height = Math.max(...inRow.map((p) => p.panel.height));
    for (const p of inRow) Object.assign(p, { y, top, height });
    y += height + GAP;
  }
  for (const p of places) { // plots under each other share their left and right edge, unless a narrow page stacked them
    const stack = columns === scene.columns ? places.filter((q) => q.column === p.column) : [p];
    const left = Math.max(...stack.map((q) => q.left)), right = Math.max(...stack.map((q) => q.right));
    p.x = p.column * (cell + GAP);
    p.plot = { x0: p.x + left, x1: p.x + cell - right, y0: p.y + p.top, y1: p.y + p.height - p.bottom };
    p.titleX = p.panel.axes ? Math.min(p.plot.x0, p.x + 60) : p.x;
    if (p.panel.equal) squareUp(p);
  }
  return { places, height: y - GAP };
}

function squareUp({ panel, plot }) {
  const span = ({ limits }) => Math.abs(limits[1] - limits[0]);
  const unit = Math.min((plot.x1 - plot.x0) / span(panel.x), (plot.y1 - plot.y0) / span(panel.y));
  plot.x1 = plot.x0 + unit * span(panel.x);
  plot.y1 = plot.y0 + unit * span(panel.y);
}

// ---- marks: each draws itself with `pen`; `at` holds the two scales, `numbers` reads an array of the Scene

const marks = {
  Line({ pen, at, numbers }, mark, colour) {
    const x = numbers(mark.x), y = numbers(mark.y);
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.setLineDash(mark.dashed ? [6, 4] : []);
    pen.beginPath();
    let broken = true;
    for (let i = 0; i < x.length; i++) {
      const px = at.x(x[i]), py = at.y(y[i]);
      if (!Number.isFinite(px + py)) { broken = true; continue; }
      if (broken) pen.moveTo(px, py); else pen.lineTo(px, py);
      broken = false;
    }
    pen.stroke();
    pen.setLineDash([]);
  },
  Band({ pen, at, numbers }, mark, colour) {
    const x = numbers(mark.x), low = numbers(mark.low), high = numbers(mark.high);
    pen.fillStyle = colour;
    pen.globalAlpha = 0.25;
    pen.beginPath();
    for (let i = 0; i < x.length; i++) pen.lineTo(at.x(x[i]), at.y(high[i]));
    for (let i = x.length - 1; i >= 0; i--) pen.lineTo(at.x(x[i]), at.y(low[i]));
    pen.fill();
    pen.globalAlpha = 1;
  },
  Dots({ pen, at, numbers }, mark, colour) {
    const x = numbers(mark.x), y = numbers(mark.y);
    pen.fillStyle = colour;
    for (let i = 0; i < x.length; i++) {
      pen.beginPath();
      pen.arc(at.x(x[i]), at.y(y[i]), mark.size / 2, 0, 2 * Math.PI);
      pen.fill();
    }
  },
  Bars({ pen, at, numbers, plot }, mark, colour) {
    const x = numbers(mark.x), y = numbers(mark.y), zero = at.y(0);
    const base = Number.isFinite(zero) ? zero : plot.y1; // a log axis has no zero
    pen.fillStyle = colour;
    for (let i = 0; i < x.length; i++) {
      const left = at.x(x[i] - mark.width / 2), top = at.y(y[i]);
      pen.fillRect(left, Math.min(top, base), at.x(x[i] + mark.width / 2) - left, Math.abs(base - top));
    }
  },
  Heatmap({ pen, at, numbers, colours }, mark) {
    const values = numbers(mark.matrix), [rows, columns] = mark.matrix.shape, [low, high] = mark.limits;
    const reach = Math.max(Math.abs(high - mark.center), Math.abs(low - mark.center));
    const sheet = new OffscreenCanvas(columns, rows), ink = sheet.getContext("2d");
    const image = ink.createImageData(columns, rows);
    values.forEach((value, i) => {
      const clipped = Math.max(low, Math.min(high, value));
      image.data.set(Number.isNaN(value) ? [128, 128, 128, 110] : [...colours.map((clipped - mark.center) / reach), 255], 4 * i);
    });
    ink.putImageData(image, 0, 0);
    const edges = ([first, last], count, scale) => {
      const half = count > 1 ? (last - first) / (count - 1) / 2 : 0.5;
      return [scale(first - half), scale(last + half)];
    };
    const [left, right] = edges(mark.x_range, columns, at.x), [top, bottom] = edges(mark.y_range, rows, at.y);
    pen.save(); // the scales may run backwards, so move the origin and let the picture mirror itself
    pen.imageSmoothingEnabled = false;
    pen.translate(left, top);
    pen.scale((right - left) / columns, (bottom - top) / rows);
    pen.drawImage(sheet, 0, 0);
    pen.restore();
  },
  Label({ pen, at }, mark, colour) {
    pen.fillStyle = colour;
    pen.textAlign = mark.align;
    pen.textBaseline = "middle";
    pen.fillText(mark.text, at.x(mark.x), at.y(mark.y));
  },
  Box({ pen, at, colours }, mark, colour) {
    const left = at.x(mark.x - mark.width / 2), right = at.x(mark.x + mark.width / 2);
    const top = at.y(mark.y + mark.height / 2), bottom = at.y(mark.y - mark.height / 2);
    const fill = mark.value === null ? null : colours.map(mark.value / mark.limit);
    pen.beginPath();
    pen.roundRect(Math.min(left, right), Math.min(top, bottom), Math.abs(right - left), Math.abs(bottom - top), 5);
    pen.fillStyle = fill ? `rgb(${fill})` : colours.paper;
    pen.fill();
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.stroke();
    pen.fillStyle = fill ? readable(fill) : colours.ink;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const lines = mark.text.split("\n"), font = pen.font, room = Math.abs(right - left) - 6;
    const shrink = Math.min(1, room / Math.max(...lines.map((line) => pen.measureText(line).width), 1));
    pen.font = font.replace("12px", `${Math.max(8, 12 * shrink)}px`);
    lines.forEach((line, i) => pen.fillText(line, (left + right) / 2, (top + bottom) / 2 + 15 * (i - (lines.length - 1) / 2), room));
    pen.font = font;
  },
  Arrow({ pen, at, colours }, mark, colour) {
    const x = at.x(mark.to_x), y = at.y(mark.to_y), x0 = at.x(mark.x), y0 = at.y(mark.y);
    const angle = Math.atan2(y - y0, x - x0), head = 5 + 2 * mark.width;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = mark.width;
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x - (head / 2) * Math.cos(angle), y - (head / 2) * Math.sin(angle));
    pen.stroke();
    pen.beginPath();
    pen.moveTo(x, y);
    for (const turn of [0.42, -0.42]) pen.lineTo(x - head * Math.cos(angle + turn), y - head * Math.sin(angle + turn));
    pen.fill();
    if (!mark.label) return;
    const flat = Math.abs(Math.cos(angle)) > 0.7; // above a flat arrow, right of a steep one
    pen.fillStyle = colours.ink;
    pen.textAlign = flat ? "center" : "left";
    pen.textBaseline = flat ? "bottom" : "middle";
    pen.fillText(mark.label, (x + x0) / 2 + (flat ? 0 : 7), (y + y0) / 2 - (flat ? 4 : 0));
  },
};

// ---- a panel: title, legend, axes, marks, colour bar

function drawPanel(pen, place, fonts, colours, numbers) {
  const { panel, plot } = place, { ink } = colours;
  const at = { x: scaler(panel.x, plot.x0, plot.x1), y: scaler(panel.y, plot.y1, plot.y0) };
  const write = (text, x, y, align, baseline) => {
    pen.textAlign = align;
    pen.textBaseline = baseline;
    pen.fillText(text, x, y);
  };
  pen.fillStyle = ink;
  pen.font = fonts.title;
  place.title.forEach((line, i) => write(line, place.titleX, place.y + LINE * i + 2, "left", "top"));
  pen.font = fonts.text;
  for (const { mark, lines, line, at: offset } of place.legend.entries) {
    const x = place.titleX + offset, y = place.y + LINE * (place.title.length + line + 0.5) + 2;
    drawSwatch(pen, mark, colours.of(mark.color), x, y);
    pen.fillStyle = ink;
    lines.forEach((text, i) => write(text, x + 22, y + LINE * i, "left", "middle"));
  }
  if (panel.axes) drawAxes(pen, place, at, colours, write);
  pen.save();
  pen.beginPath();
  if (panel.axes) pen.rect(plot.x0 - 4, plot.y0 - 4, plot.x1 - plot.x0 + 8, plot.y1 - plot.y0 + 8);
  else pen.rect(place.x, place.y, plot.x1 + place.right - place.x, place.height);
  pen.clip();
  for (const mark of panel.marks) marks[mark.kind]({ pen, at, plot, colours, numbers }, mark, colours.of(mark.color));
  pen.restore();
  const bar = colourBar(panel);
  if (bar) drawColourBar(pen, place, bar, colours, write);
}

function drawSwatch(pen, mark, colour, x, y) {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 2.5;
  pen.setLineDash(mark.dashed ? [6, 4] : []);
  pen.globalAlpha = mark.kind === "Band" ? 0.25 : 1;
  pen.beginPath();
  if (mark.kind === "Line") { pen.moveTo(x, y); pen.lineTo(x + 16, y); pen.stroke(); }
  else if (mark.kind === "Dots") { pen.arc(x + 8, y, mark.size / 2, 0, 2 * Math.PI); pen.fill(); }
  else pen.fillRect(x, y - 5, 16, 10);
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

function drawAxes(pen, { panel, plot, yTicks, left }, at, { ink, faint }, write) {
  const grid = !panel.marks.some((mark) => mark.kind === "Heatmap");
  const stroke = (colour, ...points) => {
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.beginPath();
    points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
  };
  pen.fillStyle = ink;
  let xTicks = ticks(panel.x, (plot.x1 - plot.x0) / 64), free = -Infinity; // free: where the last text ended
  const half = ([, text]) => pen.measureText(text).width / 2;
  const touch = (tick, i) => i && at.x(tick[0]) - half(tick) < at.x(xTicks[i - 1][0]) + half(xTicks[i - 1]) + 1;
  const named = panel.x.names.length > 0;
  if (named && xTicks.some(touch)) xTicks = [xTicks[0], xTicks.at(-1)]; // every third letter is no text
  for (const tick of xTicks) {
    const [value, text] = tick, x = at.x(value);
    if (x - half(tick) < free) continue;
    free = x + half(tick) + (named ? 1 : 5);
    if (grid) stroke(faint, [x, plot.y0], [x, plot.y1]);
    stroke(ink, [x, plot.y1], [x, plot.y1 + 4]);
    write(text, x, plot.y1 + 7, "center", "top");
  }
  for (const [value, text] of yTicks) {
    const y = at.y(value);
    if (grid) stroke(faint, [plot.x0, y], [plot.x1, y]);
    stroke(ink, [plot.x0 - 4, y], [plot.x0, y]);
    write(text, plot.x0 - 7, y, "right", "middle");
  }
  stroke(ink, [plot.x0, plot.y0], [plot.x0, plot.y1], [plot.x1, plot.y1]);
  write(panel.x.label, (plot.x0 + plot.x1) / 2, plot.y1 + LINE + 8, "center", "top");
  upright(pen, panel.y.label, plot.x0 - left + LINE / 2, (plot.y0 + plot.y1) / 2, write);
}

function upright(pen, text, x, y, write) {
  pen.save();
  pen.translate(x, y);
  pen.rotate(-Math.PI / 2);
  write(text, 0, 0, "center", "middle");
  pen.restore();
}

function drawColourBar(pen, { plot, barTicks, right }, mark, colours, write) {
  const x = plot.x1 + 10, [low, high] = mark.limits;
  const at = scaler({ limits: mark.limits, scale: "linear" }, plot.y1, plot.y0);
  const reach = Math.max(Math.abs(high - mark.center), Math.abs(low - mark.center));
  const gradient = pen.createLinearGradient(0, plot.y1, 0, plot.y0);
  for (let i = 0; i <= 32; i++) {
    gradient.addColorStop(i / 32, `rgb(${colours.map((low + ((high - low) * i) / 32 - mark.center) / reach)})`);
  }
  pen.fillStyle = gradient;
  pen.fillRect(x, plot.y0, BAR, plot.y1 - plot.y0);
  pen.fillStyle = colours.ink;
  for (const [value, text] of barTicks) write(text, x + BAR + 5, at(value), "left", "middle");
  upright(pen, mark.label, plot.x1 + right - LINE / 2, (plot.y0 + plot.y1) / 2, write);
}

function reader(data) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(); // aligned, and ours
  return ({ at, shape, type }) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return type === "float32" ? new Float32Array(bytes.buffer, at, count) : new Float64Array(bytes.buffer, at, count);
  };
}

function drawScene(canvas, scene, data, palette, map) {
  const style = getComputedStyle(canvas.parentElement), width = canvas.clientWidth, density = window.devicePixelRatio || 1;
  const fonts = { text: `12px ${style.fontFamily}`, title: `600 13px ${style.fontFamily}` };
  const ink = style.color, paper = style.backgroundColor;
  const faint = `color-mix(in srgb, ${ink} 14%, transparent)`, grey = `color-mix(in srgb, ${ink} 55%, transparent)`;
  const colours = { ink, paper, faint, map, of: (name) => palette[name] ?? (name === "grey" ? grey : ink) };
  const pen = canvas.getContext("2d");
  const { places, height } = layOut(pen, scene, width, fonts);
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.style.height = `${height}px`;
  pen.scale(density, density);
  pen.fillStyle = paper;
  pen.fillRect(0, 0, width, height);
  const numbers = reader(data);
  for (const place of places) drawPanel(pen, place, fonts, colours, numbers);
}
