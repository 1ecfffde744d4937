
// The top of the page: how far the capture can be trusted, and what is wrong.

function summary(showCalls) {
  return [
    html("section", { class: "health", "aria-label": "The capture" }, health(), captureDetails()),
    index.findings.length > 0 && html("section", { "aria-labelledby": "whole" },
      html("h2", { id: "whole" }, "The capture as a whole"), ...index.findings.map((finding) => findingCard(finding))),
    problemList(showCalls),
  ];
}

function health() {
  const [read, ...rest] = index.health;
  const lines = rest.filter((line) => line.level !== "plain");
  const drops = index.captures.reduce((sum, capture) => sum + capture.drops, 0);
  const unread = index.coverage.filter((row) => row.may_hide_sip);
  if (drops > 0 && !lines.some((line) => line.text.startsWith("dropped-packets"))) lines.unshift({ level: "warning", text: `${count(drops, "packet")} dropped by the capturing side; messages may be missing` });
  const lacks = index.findings.some((finding) => finding.rule === "H02");
  const isFine = !lacks && lines.length === 0 && unread.length === 0 && index.captures.every((capture) => capture.complete);
  return [
    html("p", { class: "read" }, read ? read.text : ""),
    isFine && index.captures.length > 0 && html("p", { class: "fine" }, mark("good"), "The capture is sound: read to its end, nothing dropped, nothing unreadable."),
    !isFine && html("ul", { class: "remarks" }, ...lines.map((line) => html("li", { class: line.level }, mark(line.level), html("span", {}, line.text)))),
  ];
}

const number = (n) => n.toLocaleString("en");

/** What the packets were, and each file: for who asks. */
function captureDetails() {
  const row = (cells, cell = "td") => html("tr", {}, ...cells.map((text) => html(cell, {}, text)));
  const time = (text) => (text ? text.slice(0, 23).replace("T", " ") : "");
  const coverage = index.coverage.map((kind) => row([kind.kind.replace(/-/g, " "), number(kind.packets), number(kind.first_frame), kind.may_hide_sip ? "not readable; may hide calls" : ""]));
  const files = index.captures.map((file) => row([file.path, file.format, number(file.packets), time(file.first), time(file.last), number(file.drops), file.complete ? "yes" : "no"]));
  const counts = [["Messages", index.sip.messages], ["sent again", index.sip.retransmissions], ["captured twice", index.sip.captured_twice], ["malformed", index.sip.malformed]];
  return html("details", {}, html("summary", {}, "What was captured"),
    html("p", {}, counts.filter(([, n]) => n > 0).map(([what, n]) => `${what}: ${number(n)}`).join(", ")),
    html("div", { class: "scroll" }, html("table", { class: "plain" }, row(["Packets were", "packets", "first frame", ""], "th"), ...coverage)),
    html("div", { class: "scroll" }, html("table", { class: "plain" }, row(["File", "format", "packets", "first (UTC)", "last (UTC)", "dropped", "whole"], "th"), ...files)),
    index.encapsulations.length > 0 && html("p", {}, "Messages came inside: ", index.encapsulations.map((one) => `${one.path} (${number(one.messages)})`).join("; ")));
}

/** Kinds of findings that are listed without being asked for. */
const LISTED = 8;

/** One line a rule, worst first; a click lists its calls, or opens the only one. */
function problemList(showCalls) {
  // The only call stands right below.
  if (calls.length < 2) return null;
  const told = index.problems.filter((problem) => problem.level !== "quiet");
  const notes = index.problems.filter((problem) => problem.level === "quiet");
  const line = (problem) => html("li", {}, html("button", { class: `problem ${problem.level}`, type: "button", title: problem.example, click: () => showCalls(problem) },
    mark(problem.level),
    html("span", { class: "what" }, html("b", {}, `${problem.rule} ${index.rules[problem.rule].name}`), html("span", { class: "example" }, problem.example)),
    html("span", { class: "many" }, count(problem.calls, "call"))));
  if (told.length + notes.length === 0) return null;
  return html("section", { "aria-labelledby": "problems" },
    told.length > 0 && html("h2", { id: "problems" }, "What was found"),
    told.length > 0 && html("ul", { class: "problems" }, ...told.slice(0, LISTED).map(line)),
    told.length > LISTED && html("details", { class: "notes" }, html("summary", {}, `${told.length - LISTED} more kinds of findings`), html("ul", { class: "problems" }, ...told.slice(LISTED).map(line))),
    notes.length > 0 && html("details", { class: "notes" }, html("summary", { id: told.length ? null : "problems" }, "Notes on what is legal but unusual"), html("ul", { class: "problems" }, ...notes.map(line))));
}
