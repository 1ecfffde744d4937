
// One message as it was on the wire, with its faults marked; or what is known of one that is missing.

/** The lines of a message; a part that is wrong is marked and says below what was expected. */
function messageLines(text, faults) {
  return text.split("\n").flatMap((line, at) => {
    const here = faults.filter((fault) => fault[0] === at).sort((a, b) => a[1] - b[1]);
    return [html("div", { class: here.length ? "line faulty" : "line" }, ...(here.length ? marked(line, here) : named(line, at))),
      ...here.map((fault) => html("div", { class: "fault" }, fault[3]))];
  });
}

/** A line with its wrong parts marked. */
function marked(line, faults) {
  const parts = [];
  let end = 0;
  for (const [, from, to] of faults) {
    const start = Math.max(from, end);
    const stop = Math.max(to, Math.min(start + 1, line.length));
    parts.push(line.slice(end, start));
    if (stop > start) parts.push(html("mark", {}, line.slice(start, stop)));
    else parts.push(html("mark", { class: "empty" }, " "));
    end = Math.max(end, stop);
  }
  parts.push(line.slice(end));
  return parts;
}

/** A line with the name of its header apart. */
function named(line, at) {
  const colon = /^[\w.!%*+`'~-]+(?=\s*:)/.exec(line);
  if (at === 0) return [html("b", {}, line)];
  return colon ? [html("span", { class: "name" }, colon[0]), line.slice(colon[0].length)] : [line || " "];
}

/**
 * The panel for the message of a row. `goTo` opens another message of the call.
 */
function messagePanel(call, told, texts, row, only, goTo) {
  const { ladder } = told;
  const n = only ?? row.message;
  const message = n === null ? null : told.messages[n - 1];
  const step = stepText(ladder, row);
  const findings = row.notes.filter((note) => note.finding !== null).map((note) => told.findings[note.finding]);
  if (!message) {
    const [from, to] = [row.from, row.to].map((at) => `${ladder.lanes[at].part} ${ladder.lanes[at].address}`.trim());
    return [html("h3", { tabindex: -1 }, `${row.label}: not in the capture`), html("p", { class: "way" }, `from ${from} to ${to}`), step && html("p", { class: "dim" }, step),
      ...row.notes.filter((note) => note.finding === null).map((note) => html("p", {}, note.text)), ...findings.map((finding) => findingLine(finding))];
  }
  const [from, to, transport] = message.way;
  const first = message.of ?? n;
  const copies = told.messages.map((one, at) => ({ ...one, n: at + 1 })).filter((one) => one.of === first || one.n === first);
  const others = copies.length > 1 && html("p", { class: "copies" }, "Sent or captured several times: ", ...copies.flatMap((one) => [
    one.n === n ? html("b", {}, one.facts[0]) : html("button", { type: "button", class: "link", click: () => goTo(one.n) }, one.facts[0]), " "]));
  return [html("h3", {}, `Message ${n}: ${texts[n - 1].split("\n", 1)[0]}`),
    html("p", { class: "way" }, `from ${from} to ${to}, ${transport}`), html("p", { class: "dim" }, message.facts.filter((fact) => !fact.startsWith("step ")).join(" · ")),
    step && html("p", { class: "dim" }, step), ...(message.comments ?? []).map((text) => html("p", {}, `Comment in the capture: ${text}`)), others,
    ...row.notes.filter((note) => note.finding === null && note.paint !== "dim").map((note) => html("p", { class: note.paint }, note.text)),
    ...findings.map((finding) => findingLine(finding)),
    html("div", { class: "raw", role: "document", tabindex: 0, "aria-label": "The message" }, ...messageLines(texts[n - 1], message.faults ?? [])),
    ...(message.remarks ?? []).map((text) => html("p", { class: "fault" }, text))];
}

function findingLine(finding) {
  return html("p", { class: `finding-line ${finding.level}` }, mark(finding.level), html("b", {}, finding.rule), " ", finding.summary);
}
