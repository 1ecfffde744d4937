
// The table of calls: filter, search, sort. Only the rows on the screen exist.

const COLUMNS = [
  { key: "level", title: "", label: "worst finding", value: (call) => Object.keys(MARKS).indexOf(call.level), cell: (call) => mark(call.level) },
  { key: "n", title: "Call", value: (call) => call.n, cell: (call) => html("a", { href: `#call=${call.n}`, tabindex: -1 }, String(call.n)) },
  { key: "start", title: "Start (UTC)", value: (call) => call.start, cell: (call) => html("span", { title: call.start }, sameDay ? call.start.slice(11) : call.start.slice(5, 19)) },
  { key: "kind", title: "Kind", value: (call) => call.kind },
  { key: "from", title: "From", value: (call) => call.from },
  { key: "to", title: "To", value: (call) => call.to },
  { key: "outcome", title: "Outcome", value: (call) => call.outcome, cell: (call) => (call.status >= 300 ? `${call.outcome} (${call.status})` : call.outcome) },
  { key: "seconds", title: "Length", value: (call) => call.seconds, cell: (call) => duration(call.seconds) },
  { key: "messages", title: "Messages", value: (call) => call.messages, cell: (call) => number(call.messages) },
  { key: "flow", title: "Flow", value: (call) => call.flow ?? "", cell: (call) => html("span", { title: call.flow ? index.flows[call.flow].title : null }, call.flow ?? "") },
  { key: "rules", title: "Found", value: (call) => call.rules.join(" "), cell: (call) => call.rules.join(" ") },
];

const sameDay = calls.every((call) => call.start.slice(0, 10) === calls[0].start.slice(0, 10));

/** 0.3 is "300 ms", 75 is "1:15 min". */
function duration(seconds) {
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  return minutes < 60 ? `${minutes}:${String(rest).padStart(2, "0")} min` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`;
}

/** What of the index is searched: all that the table shows, the Call-ID, and the names of the rules. */
const haystacks = calls.map((call) => [call.n, call.kind, call.outcome, call.status, call.from, call.to, call.call_id, call.start, call.flow,
  ...call.rules.map((rule) => `${rule} ${index.rules[rule].name}`)].join("\n").toLowerCase());

/** Most rows that go to paper. */
const PRINTED = 2000;

function callList(open) {
  const chosen = { kind: "", outcome: "", level: "", rule: "", search: "" };
  const sorted = { key: "n", down: false };
  let shown = calls;
  let cursor = 0;
  /** Calls with the words searched for in a message. */
  let deep = new Set();

  const search = html("input", { type: "search", id: "search", placeholder: "Search: number, address, Call-ID, any header …", autocomplete: "off", spellcheck: "false", "aria-label": "Search in calls and all their messages", "aria-keyshortcuts": "/", input: debounce(80, (event) => look(event.target.value)) });
  const choices = {
    kind: choice("kind", "Any kind", [...new Set(calls.map((call) => call.kind))].sort().map((kind) => [kind, kind])),
    outcome: choice("outcome", "Any outcome", [...new Set(calls.map((call) => call.outcome))].sort().map((outcome) => [outcome, outcome])),
    level: choice("level", "Any severity", Object.keys(MARKS).filter((level) => calls.some((call) => call.level === level)).map((level) => [level, LEVELS[level]])),
    rule: choice("rule", "Any finding", Object.keys(index.rules).filter((rule) => index.problems.some((problem) => problem.rule === rule)).map((rule) => [rule, `${rule} ${index.rules[rule].name}`])),
  };
  const told = html("p", { class: "told", role: "status" });
  const clear = html("button", { type: "button", class: "clear", click: reset }, "Show all");
  const head = html("div", { class: "row head", role: "row" }, ...COLUMNS.map((column) => html("div", { role: "columnheader", class: column.key },
    html("button", { type: "button", "data-key": column.key, "aria-label": column.label ? `Sort by ${column.label}` : null, click: () => sortBy(column.key) }, column.title))));
  const body = html("div", { class: "body", role: "rowgroup" });
  const grid = html("div", { class: "grid", role: "grid", tabindex: 0, "aria-label": "Calls", "aria-colcount": COLUMNS.length, keydown: onKey }, html("div", { role: "rowgroup" }, head), body);
  const element = html("section", { "aria-labelledby": "calls-heading", class: "calls" }, html("h2", { id: "calls-heading" }, "Calls"),
    html("div", { class: "tools", role: "search" }, search, ...Object.values(choices).filter((select) => select.options.length > 2)), html("div", { class: "state" }, told, clear), grid);

  function choice(name, any, values) {
    return html("select", { "aria-label": any, change: (event) => { chosen[name] = event.target.value; refresh(); } },
      html("option", { value: "" }, any), ...values.map(([value, text]) => html("option", { value }, text)));
  }

  function reset() {
    search.value = "";
    for (const [name, select] of Object.entries(choices)) select.value = chosen[name] = "";
    look("");
  }

  /** Searches the index at once, and then message by message. */
  function look(text) {
    const wanted = text.trim().toLowerCase();
    chosen.search = wanted;
    deep = new Set();
    refresh(wanted.length > 1 ? 0 : 1);
    if (wanted.length < 2) return;
    let painted = performance.now();
    store.search(wanted, () => chosen.search === wanted, (hits, part) => {
      for (const hit of hits) deep.add(hit);
      if (part < 1 && performance.now() - painted < 200) return;
      painted = performance.now();
      refresh(part, true);
    });
  }

  function refresh(part = 1, keepsCursor = false) {
    const before = shown[cursor];
    const fits = (call) => (!chosen.kind || call.kind === chosen.kind) && (!chosen.outcome || call.outcome === chosen.outcome) && (!chosen.level || call.level === chosen.level)
      && (!chosen.rule || call.problems.some((problem) => index.problems[problem].rule === chosen.rule))
      && (!chosen.search || haystacks[call.at].includes(chosen.search) || deep.has(call.at));
    shown = calls.filter(fits);
    const { value } = COLUMNS.find((column) => column.key === sorted.key);
    if (sorted.key !== "n" || sorted.down) {
      const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      const way = sorted.down ? -1 : 1;
      shown = shown.map((call) => [value(call), call]).sort((a, b) => way * order(a[0], b[0]) || a[1].at - b[1].at).map(([, call]) => call);
    }
    cursor = keepsCursor ? Math.max(0, shown.indexOf(before)) : 0;
    const all = shown.length === calls.length;
    told.textContent = (all ? count(calls.length, "call") : `${number(shown.length)} of ${count(calls.length, "call")}`)
      + (part < 1 ? ` · searching in messages, ${Math.floor(part * 100)} %` : chosen.search.length > 1 ? " · all messages searched" : "");
    clear.hidden = all && !chosen.search;
    grid.setAttribute("aria-rowcount", shown.length + 1);
    for (const button of head.querySelectorAll("button")) {
      const isKey = button.dataset.key === sorted.key;
      button.parentNode.setAttribute("aria-sort", isKey ? (sorted.down ? "descending" : "ascending") : "none");
    }
    rows.clear();
    paint();
  }

  function sortBy(key) {
    sorted.down = sorted.key === key ? !sorted.down : false;
    sorted.key = key;
    refresh(1, true);
  }

  /** The rows that exist, by position among those shown. */
  const rows = new Map();
  let height = 0;

  function row(at) {
    const call = shown[at];
    return html("div", { class: "row", role: "row", id: `row-${at}`, "aria-rowindex": at + 2, click: (event) => { if (!event.target.closest("a")) open(call); } },
      ...COLUMNS.map((column) => html("div", { role: "gridcell", class: column.key }, column.cell ? column.cell(call) : column.value(call))));
  }

  /** Makes the rows between two positions on the screen and some around; forgets the others. */
  function paint(all = false) {
    height = parseFloat(getComputedStyle(grid).getPropertyValue("--row")) || 34;
    body.style.height = `${shown.length * height}px`;
    const top = -body.getBoundingClientRect().top;
    const first = all ? 0 : Math.max(0, Math.floor(top / height) - 8);
    const last = all ? Math.min(shown.length, PRINTED) : Math.min(shown.length, Math.ceil((top + innerHeight) / height) + 8);
    for (const [at, node] of rows) {
      if (at >= first && at < last) continue;
      node.remove();
      rows.delete(at);
    }
    let before = null;
    for (let at = last - 1; at >= first; at--) {
      if (!rows.has(at)) {
        const node = row(at);
        node.style.top = `${at * height}px`;
        rows.set(at, node);
        body.insertBefore(node, before);
      }
      before = rows.get(at);
      before.classList.toggle("current", at === cursor);
      before.setAttribute("aria-selected", at === cursor);
    }
    for (const node of [...body.children]) if (rows.get(Number(node.id.slice(4))) !== node) node.remove();
    if (shown[cursor]) grid.setAttribute("aria-activedescendant", `row-${cursor}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  function moveTo(at) {
    cursor = Math.min(Math.max(at, 0), shown.length - 1);
    const above = head.getBoundingClientRect().bottom;
    const y = body.getBoundingClientRect().top + cursor * height;
    if (y < above) scrollBy(0, y - above);
    else if (y + height > innerHeight) scrollBy(0, y + height - innerHeight);
    paint();
  }

  function onKey(event) {
    if (event.target !== grid) return;
    const page = Math.max(1, Math.floor(innerHeight / height) - 3);
    const steps = { ArrowDown: cursor + 1, j: cursor + 1, ArrowUp: cursor - 1, k: cursor - 1, PageDown: cursor + page, PageUp: cursor - page, Home: 0, End: shown.length - 1 };
    if (event.key in steps) moveTo(steps[event.key]);
    else if (event.key === "Enter" && shown[cursor]) open(shown[cursor]);
    else return;
    event.preventDefault();
  }

  let isWaiting = false;
  const later = () => {
    if (isWaiting || !element.isConnected) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; if (element.isConnected) paint(); });
  };
  addEventListener("scroll", later, { passive: true });
  addEventListener("resize", () => { rows.clear(); later(); });
  addEventListener("beforeprint", () => element.isConnected && paint(true));
  addEventListener("afterprint", later);

  return {
    element, search, grid, refresh: () => refresh(1, true), reset, paint, moveTo,
    get cursor() { return cursor; },
    /** Shows only the calls with findings of a rule. */
    only(problem) {
      reset();
      choices.rule.value = chosen.rule = problem.rule;
      refresh();
      return shown;
    },
    /** The call before or after another, in the order shown. */
    neighbour(call, step) {
      const at = shown.indexOf(call);
      return at < 0 ? calls[call.at + step] : shown[at + step];
    },
    /** Puts the cursor on a call. */
    show(call) {
      const at = shown.indexOf(call);
      if (at >= 0) moveTo(at);
    },
  };
}
