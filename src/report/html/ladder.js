
// A ladder drawn in SVG from the ladder model (docs/ladders.md): lanes, arrows, ghosts, pauses, bands of media.

const LINE = 16;
/** Rows drawn at first, and more at each request: a call may have ten thousand messages. */
const ROWS = 400;
const pen = document.createElement("canvas").getContext("2d");

function widthOf(text, font) {
  pen.font = font;
  return pen.measureText(text).width;
}

/** `text` in lines no wider than `room`. */
function wrap(text, room, font) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines[lines.length - 1] ? `${lines[lines.length - 1]} ${word}` : word;
    if (widthOf(longer, font) <= room || !lines[lines.length - 1]) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => cut(line, room, font));
}

/** `text`, cut with an ellipsis when it is wider than `room`. */
function cut(text, room, font) {
  if (widthOf(text, font) <= room) return text;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (widthOf(`${text.slice(0, middle)}…`, font) <= room) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}

/** The long text where there is room for it, else the short one. */
function shortest(long, short, room, font) {
  return widthOf(long, font) <= room ? long : cut(short, room, font);
}

/** What stands on an arrow: its label, and in a word what it carries. */
function arrowText(arrow) {
  const marks = [];
  if (arrow.auth === "credentials") marks.push("+auth");
  if (arrow.auth === "stale") marks.push("(stale)");
  if (arrow.session) marks.push(`[${arrow.session.words}]`);
  if (arrow.sent > 1) marks.push(`×${arrow.sent}`);
  return [arrow.label, ...marks].join(" ");
}

/** The step of the reference flow in words. */
function stepText(ladder, arrow) {
  if (arrow.step === "+") return `not a step of ${ladder.flow}`;
  if (!arrow.step || !ladder.flow) return "";
  const flow = index.flows[ladder.flow];
  const what = flow?.steps[arrow.step];
  return `${arrow.step} of ${ladder.flow}${flow ? ` ${flow.title}` : ""}${what ? `: ${what}` : ""}`;
}

/**
 * Draws a ladder into a new element. `pick(row, arrow)` is called for the arrow that was chosen, `hover(arrow, node)`
 * for the one that is pointed at or focused, and without arguments when none is.
 */
function drawLadder(ladder, pick, hover) {
  const heads = html("div", { class: "lanes", "aria-hidden": "true" });
  const picture = svg("svg", { role: "group", "aria-label": `Ladder: ${ladder.lanes.map((lane) => `${lane.part} ${lane.address}`).join(", ")}` });
  const scroller = html("div", { class: "scroller", scroll: () => { heads.scrollLeft = scroller.scrollLeft; } }, picture);
  const more = html("button", { type: "button", class: "more", click: () => { limit += ROWS; draw(); } });
  const element = html("div", { class: "ladder" }, heads, scroller, more);
  const groups = new Map();
  const isInterleaved = ladder.legs.length > 0 || ladder.rows.some((row) => row.exchange?.branch);
  let limit = ROWS;
  let chosen = null;
  let drawn = 0;

  function draw() {
    const width = element.clientWidth;
    if (!width) return;
    drawn = width;
    const style = getComputedStyle(element);
    const font = `550 13px ${style.fontFamily}`;
    const small = `12px ${style.fontFamily}`;
    const isNarrow = width < 520;
    const margin = isNarrow ? 74 : 136;
    const lane = Math.min(360, Math.max(isNarrow ? 120 : 150, (width - margin - 8) / ladder.lanes.length));
    const x = (at) => margin + lane * (at + 0.5);
    const right = margin + lane * ladder.lanes.length;
    const rows = ladder.rows.slice(0, limit);
    const tops = [];
    const drawings = [];
    groups.clear();
    let y = 6;
    rows.forEach((row, at) => {
      tops.push(y);
      const drawing = row.type === "arrow" ? arrow(row, at, y) : remark(row, y);
      drawings.push(drawing.node);
      y += drawing.height;
    });
    const bottom = y + 10;

    function arrow(row, at, y) {
      const [a, b] = [x(row.from), x(row.to)];
      const isLoop = row.from === row.to;
      const way = a < b || isLoop ? 1 : -1;
      const line = y + 24;
      const slant = row.crosses === null ? 0 : 10;
      const room = isLoop ? lane - 30 : Math.abs(b - a) + 12;
      const classes = ["arrow", row.paint, row.ghost && "ghost", row.response && "response"].filter(Boolean).join(" ");
      const shaft = isLoop ? `M${a} ${line - 6} h26 v12 h-22` : `M${a} ${line} L${b - way * 3} ${line + slant}`;
      const end = isLoop ? [a, line + 6, -1] : [b, line + slant, way];
      const tip = `M${end[0] - end[2] * 1} ${end[1]} l${-end[2] * 10} -5 v10 z`;
      const notes = row.notes.flatMap((note) => wrap(note.text, Math.max((right - margin) * 0.8, 240), small).map((text, n) => ({ ...note, text: n ? text : (note.finding === null ? text : `${MARKS[paintLevel(note)]} ${text}`) })));
      const center = isLoop ? a + 34 : (a + b) / 2;
      const half = Math.max(0, ...notes.map((note) => widthOf(note.text, small) / 2));
      const noteX = Math.min(Math.max(center, margin + half), right - half);
      const height = 36 + slant + notes.length * LINE;
      const step = stepText(ladder, row);
      const label = [row.seconds === null ? "missing" : `${row.seconds.toFixed(3)} s`, arrowText(row),
        `from ${laneName(row.from)} to ${laneName(row.to)}`, step, ...row.notes.map((note) => note.text)].filter(Boolean).join(", ");
      const node = svg("g", { class: classes, role: "button", tabindex: -1, "aria-label": label, "data-row": at,
        click: () => choose(at), mouseenter: () => hover(row, node), mouseleave: () => hover(), focus: () => hover(row, node), blur: () => hover() },
        svg("rect", { class: "hit", x: 0, y, width: Math.max(right, width - 1), height }),
        row.seconds !== null && svg("text", { class: "time", x: isNarrow ? 48 : 54, y: line + 4 }, row.seconds.toFixed(3)),
        row.frame !== null && !isNarrow && svg("text", { class: "frame", x: 94, y: line + 4 }, String(row.frame)),
        svg("text", { class: row.step === "+" ? "step extra" : "step", x: isNarrow ? 54 : 102, y: line + 4 }, row.step),
        isInterleaved && row.exchange && svg("text", { class: "exchange", x: x(row.from) - way * 6, y: line + 4, "text-anchor": way > 0 ? "end" : "start" }, row.exchange.id),
        svg("path", { class: "shaft", d: shaft }), svg("path", { class: "point", d: tip }),
        svg("text", { class: "label", x: center, y: line - 7, "text-anchor": isLoop ? "start" : "middle" }, shortest(arrowText(row), row.label, room, font)),
        ...notes.map((note, n) => svg("text", { class: `note ${note.finding === null ? note.paint : paintLevel(note)}${note.finding === null ? "" : " finding"}`, x: noteX, y: line + slant + LINE * (n + 1), "text-anchor": "middle" }, note.text)));
      groups.set(at, node);
      return { node, height };
    }

    /** A pause, the begin of media, what is left out: a line of text between the arrows. */
    function remark(row, y) {
      const text = row.type === "pause" ? `${duration(row.seconds)} later` : row.type === "media" ? mediaText(ladder.media[row.media]) : `${count(row.messages, "message")} not shown`;
      const band = row.type === "media" ? ladder.media[row.media] : null;
      const center = band ? (x(band.from) + x(band.to)) / 2 : (margin + right) / 2;
      const half = widthOf(text, small) / 2;
      const node = svg("g", { class: `remark ${row.type}` },
        row.type === "pause" && svg("rect", { class: "cut", x: margin, y: y + 3, width: right - margin, height: 20 }),
        svg("text", { x: Math.min(Math.max(center, margin + half), right - half), y: y + 18, "text-anchor": "middle" }, text));
      return { node, height: 27 };
    }

    const bands = ladder.media.filter((media) => media.first < rows.length).map((media) => {
      const [left, end] = [Math.min(x(media.from), x(media.to)), Math.max(x(media.from), x(media.to))];
      const last = Math.min(media.last, rows.length - 1);
      return svg("rect", { class: `band ${media.state}`, x: left, width: Math.max(end - left, 4), y: tops[media.first], height: Math.max((tops[last] ?? bottom) - tops[media.first], 24) });
    });
    const lifelines = ladder.lanes.map((_, at) => svg("line", { class: "lifeline", x1: x(at), x2: x(at), y1: 0, y2: bottom }));
    picture.setAttribute("width", Math.max(right, width - 1));
    picture.setAttribute("height", bottom);
    picture.replaceChildren(...bands, ...lifelines, ...drawings);
    heads.replaceChildren(html("div", {}, ...ladder.lanes.map((one, at) => {
      const head = html("div", { class: "lane", title: laneName(at) }, html("b", {}, one.part || "participant"), html("span", {}, one.name ?? one.address), one.name && html("span", { class: "address" }, one.address));
      head.style.left = `${margin + lane * at}px`;
      head.style.width = `${lane}px`;
      return head;
    })));
    heads.firstChild.style.width = `${right}px`;
    const left = ladder.rows.length - rows.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, ROWS)} more of ${count(left, "row")}`;
    mark(chosen);
  }

  function laneName(at) {
    const lane = ladder.lanes[at];
    return [lane.part, lane.name ? `${lane.name} (${lane.address})` : lane.address].filter(Boolean).join(" ");
  }

  function mediaText(media) {
    const what = { early: "early media", talk: "media", hold: "on hold" }[media.state];
    return `${what} ${media.words}${media.seconds === null ? "" : `, ${duration(media.seconds)}`}`;
  }

  function paintLevel(note) {
    const told = ladder.findings[note.finding];
    return told.verdict === "open" ? "open" : told.severity;
  }

  /** Shows which arrow is chosen; it alone is reached by the Tab key. */
  function mark(at) {
    const first = at ?? groups.keys().next().value;
    for (const [row, node] of groups) {
      node.classList.toggle("chosen", row === at);
      node.setAttribute("tabindex", row === first ? 0 : -1);
    }
  }

  /** Chooses the arrow of a row, when it is one. */
  function choose(at, takesFocus = false) {
    while (at >= limit && limit < ladder.rows.length) limit += ROWS;
    if (!groups.has(at)) draw();
    const node = groups.get(at);
    if (!node) return;
    chosen = at;
    mark(at);
    if (takesFocus) node.focus({ preventScroll: true });
    pick(at, ladder.rows[at]);
    bringIntoView(node);
  }

  function bringIntoView(node) {
    const box = node.getBoundingClientRect();
    const above = heads.getBoundingClientRect().bottom;
    const sheet = document.querySelector(".message.open");
    const below = sheet && getComputedStyle(sheet).position === "fixed" ? sheet.getBoundingClientRect().top : innerHeight;
    if (box.top < above + 8) scrollBy(0, box.top - above - 40);
    else if (box.bottom > below - 8) scrollBy(0, box.bottom - below + 40);
  }

  /** Chooses the next or the previous arrow. */
  function move(step) {
    let at = chosen === null ? (step > 0 ? -1 : ladder.rows.length) : chosen;
    do at += step; while (ladder.rows[at] && ladder.rows[at].type !== "arrow");
    if (ladder.rows[at]) choose(at, true);
  }

  new ResizeObserver(() => { if (element.clientWidth !== drawn) draw(); }).observe(element);
  return {
    element, choose, move,
    /** No arrow is chosen any more. */
    release() { chosen = null; mark(null); },
    /** The row of a message, or of the one that it repeats. */
    rowOf: (message) => ladder.rows.findIndex((row) => row.message === message),
    focus() { (groups.get(chosen) ?? groups.values().next().value)?.focus({ preventScroll: true }); },
    get chosen() { return chosen; },
  };
}
