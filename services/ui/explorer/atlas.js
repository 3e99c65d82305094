// A map of tens of thousands of points on one canvas: drag or wheel to wander, a click picks one.
// What arrives is described in atlas.py (packed): a head in JSON, then the points' columns.

const VIRIDIS = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
const NEAR = 14, CLICK = 5, MOST = 60, FAR = 0.9, DEEPEST = 400, NAMED_FROM = 3;
const kept = new Map(); // a view outlives the script's runs; one a catalogue

function unpacked(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  let at = 4 + size;
  const column = (Kind) => {
    const own = bytes.slice(at, at + head.count * Kind.BYTES_PER_ELEMENT);
    at += own.length;
    return new Kind(own.buffer);
  };
  const [feature, x, y, label] = [column(Uint32Array), column(Uint16Array), column(Uint16Array), column(Uint16Array)];
  return { ...head, feature, x, y, label, rate: column(Uint8Array), tone: column(Uint8Array) };
}

// Points by cells of a grid, so that what lies under the pointer is found at once.
function gridded(points, side = 128) {
  const cell = (i) => (points.y[i] >> 9) * side + (points.x[i] >> 9);
  const starts = new Uint32Array(side * side + 1);
  for (let i = 0; i < points.count; i++) starts[cell(i) + 1]++;
  for (let c = 0; c < side * side; c++) starts[c + 1] += starts[c];
  const order = new Uint32Array(points.count), next = starts.slice();
  for (let i = 0; i < points.count; i++) order[next[cell(i)]++] = i;
  return (left, top, right, bottom, visit) => {
    const clip = (v) => Math.max(0, Math.min(side - 1, v >> 9));
    for (let row = clip(top); row <= clip(bottom); row++)
      for (let k = starts[row * side + clip(left)]; k < starts[row * side + clip(right) + 1]; k++) visit(order[k]);
  };
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".sb-map");
  const canvas = root.querySelector("canvas"), tip = root.querySelector(".sb-map-tip");
  const pen = canvas.getContext("2d"), points = unpacked(data), within = gridded(points);
  const hits = new Set(points.hits), view = kept.get(points.name) ?? { scale: 1, x: 32768, y: 32768, picked: null };
  kept.set(points.name, view);
  if (points.picked !== (view.told ?? null)) {
    view.told = points.picked;
    view.picked = points.picked;
    setStateValue("picked", view.picked);
  }
  let width = 0, height = 0, waits = false;

  const unit = () => (Math.min(width, height) / 68000) * view.scale; // pixels a step of the plane
  const across = (x) => width / 2 + (x - view.x) * unit(), down = (y) => height / 2 + (y - view.y) * unit();
  const back = (px, py) => [view.x + (px - width / 2) / unit(), view.y + (py - height / 2) / unit()];
  const seen = (visit) => within(...back(0, 0), ...back(width, height), visit);
  const later = () => { if (!waits) { waits = true; requestAnimationFrame(draw); } };

  function dot(i, grow, round) {
    const r = (1 + 3.2 * points.rate[i] / 255) * grow, px = across(points.x[i]), py = down(points.y[i]);
    if (px < -9 || py < -9 || px > width + 9 || py > height + 9) return;
    if (round) { pen.moveTo(px + r, py); pen.arc(px, py, r, 0, 7); } else pen.rect(px - r, py - r, 2 * r, 2 * r);
  }

  function draw() {
    waits = false;
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const tones = VIRIDIS.map(() => []), strong = [];
    let many = 0;
    seen((i) => { many++; (hits.has(points.feature[i]) ? strong : tones[points.tone[i]]).push(i); });
    const grow = Math.min(2.2, Math.max(0.55, Math.sqrt(3000 / points.count)) * view.scale ** 0.4), round = many < 8000;
    const paint = (own, colour, alpha, size) => {
      pen.beginPath();
      for (const i of own) dot(i, size, round || own === strong);
      pen.fillStyle = colour; pen.globalAlpha = alpha; pen.fill(); pen.globalAlpha = 1;
    };
    tones.forEach((own, t) => paint(own, points.narrowed ? "#9aa5b1" : VIRIDIS[t], points.narrowed ? 0.25 : 0.75, grow));
    paint(strong, "#b3341f", 0.95, Math.max(1.3, grow * 1.5));
    names(strong);
    if (view.picked !== null) ring(points.feature.indexOf(view.picked));
    canvas.dataset.map = many;
  }

  function ring(i) {
    if (i < 0) return;
    pen.beginPath(); pen.arc(across(points.x[i]), down(points.y[i]), 9, 0, 7);
    pen.lineWidth = 5; pen.strokeStyle = "white"; pen.stroke();
    pen.lineWidth = 2.5; pen.strokeStyle = "#1c2733"; pen.stroke();
  }

  // Names of groups; closer by, those of single features; none over another.
  function names(strong) {
    const taken = [], write = (text, px, py, weight) => {
      pen.font = `${weight} 12px system-ui, sans-serif`;
      const half = pen.measureText(text).width / 2 + 3, own = [px - half, py - 8, px + half, py + 8];
      if (own[0] < 0 || own[1] < 0 || own[2] > width || own[3] > height || taken.length >= MOST) return;
      if (taken.some((o) => own[0] < o[2] && own[2] > o[0] && own[1] < o[3] && own[3] > o[1])) return;
      taken.push(own);
      pen.lineWidth = 3.5; pen.lineJoin = "round"; pen.strokeStyle = "#ffffffe0"; pen.strokeText(text, px, py);
      pen.fillStyle = "#1c2733"; pen.fillText(text, px, py);
    };
    pen.textAlign = "center"; pen.textBaseline = "middle";
    const single = (i) => points.label[i] && write(points.words[points.label[i]], across(points.x[i]), down(points.y[i]) - 12, 500);
    strong.slice(0, MOST).forEach(single);
    if (view.scale < NAMED_FROM * 4)
      for (const [text, x, y] of points.groups) write(text, across(x), down(y), 650);
    if (view.scale < NAMED_FROM) return;
    const own = [];
    seen((i) => { if (own.length < 3000) own.push(i); });
    own.sort((a, b) => points.rate[b] - points.rate[a]).slice(0, 240).forEach(single);
  }

  function nearest(px, py, far = NEAR) {
    const reach = far / unit(), [x, y] = back(px, py);
    let best = -1, least = far * far;
    within(x - reach, y - reach, x + reach, y + reach, (i) => {
      const own = (across(points.x[i]) - px) ** 2 + (down(points.y[i]) - py) ** 2;
      if (own < least) [best, least] = [i, own];
    });
    return best;
  }

  function hover(px, py) {
    const i = nearest(px, py);
    tip.hidden = i < 0; canvas.style.cursor = i < 0 ? "grab" : "pointer";
    if (i < 0) return;
    tip.textContent = `#${points.feature[i]} ${points.words[points.label[i]] || "no label"}`;
    tip.style.left = `${Math.min(px + 12, width - 160)}px`; tip.style.top = `${Math.max(4, py - 30)}px`;
  }

  function zoom(by, px = width / 2, py = height / 2) {
    const [x, y] = back(px, py);
    view.scale = Math.max(FAR, Math.min(DEEPEST, view.scale * by));
    const [nx, ny] = back(px, py);
    view.x += x - nx; view.y += y - ny;
    later();
  }

  function home() { Object.assign(view, { scale: 1, x: 32768, y: 32768 }); later(); }

  function pick(i) {
    view.picked = points.feature[i];
    setStateValue("picked", view.picked);
    later();
  }

  const fingers = new Map();
  let gone = 0;
  const at = (e) => { const box = canvas.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
  const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
  const on = {
    pointerdown(e) { fingers.set(e.pointerId, at(e)); gone = 0; if (e.pointerType === "mouse") canvas.setPointerCapture(e.pointerId); },
    pointermove(e) {
      const before = fingers.get(e.pointerId), now = at(e);
      if (!before) return hover(...now);
      const wide = fingers.size === 2 ? spread() : 0;
      fingers.set(e.pointerId, now);
      gone += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (fingers.size === 2) return zoom(spread() / Math.max(1, wide), ...now);
      view.x -= (now[0] - before[0]) / unit(); view.y -= (now[1] - before[1]) / unit();
      tip.hidden = true; later();
    },
    pointerup(e) {
      const held = fingers.delete(e.pointerId), i = held && gone < CLICK ? nearest(...at(e)) : -1;
      if (i >= 0) pick(i);
    },
    pointercancel(e) { fingers.delete(e.pointerId); },
    pointerleave() { tip.hidden = true; },
    wheel(e) { e.preventDefault(); zoom(1.0018 ** -e.deltaY, ...at(e)); },
    dblclick(e) { zoom(2, ...at(e)); },
    keydown(e) {
      const step = 60 / unit(), moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (e.key in moves) { view.x += moves[e.key][0]; view.y += moves[e.key][1]; later(); }
      else if (e.key === "+" || e.key === "=") zoom(1.5);
      else if (e.key === "-") zoom(1 / 1.5);
      else if (e.key === "Enter") { const i = nearest(width / 2, height / 2, width); if (i >= 0) pick(i); }
      else return;
      e.preventDefault();
    },
  };
  for (const name in on) canvas.addEventListener(name, on[name], { passive: false });
  const buttons = { closer: () => zoom(1.6), farther: () => zoom(1 / 1.6), whole: home };
  for (const name in buttons) root.querySelector(`[data-do=${name}]`).onclick = buttons[name];
  const resized = new ResizeObserver(() => {
    [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * devicePixelRatio; canvas.height = height * devicePixelRatio;
    draw();
  });
  resized.observe(canvas);
  return () => {
    resized.disconnect();
    for (const name in on) canvas.removeEventListener(name, on[name]);
  };
}
