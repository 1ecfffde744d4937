
// The page of a call: its story, its ladder, what was found, and the message that was clicked.

/** A finding in full; `look` shows it in the ladder. */
function findingCard(finding, look) {
  const rule = index.rules[finding.rule];
  return html("article", { class: `finding ${finding.level}` },
    html("h4", {}, mark(finding.level), html("span", { class: "rule" }, `${finding.rule} ${rule.name}`), html("span", { class: "level" }, LEVELS[finding.level])),
    html("p", { class: "summary" }, finding.summary),
    ...finding.detail.split("\n").map((text) => html("p", {}, text)),
    finding.missing && html("p", {}, finding.missing),
    html("p", { class: "dim" }, [finding.basis.join(", "), finding.frames].filter(Boolean).join(" · ")),
    look && html("button", { type: "button", class: "link", click: look }, "Show in the ladder"),
    rule.page && html("details", {}, html("summary", {}, "What this rule means, and what to look at next"), html("div", { class: "rule-page" }, ...markdown(rule.page))));
}

/** Makes the page of a call. `leave` goes back to the list; it is null when there is only this call. */
async function callPage(call, list, go, leave) {
  const [told, texts] = await Promise.all([store.told(call.at), store.texts(call.at)]);
  const { ladder } = told;
  const tip = html("div", { class: "tip", role: "tooltip", hidden: true });
  const content = html("div", { class: "content" });
  const close = html("button", { type: "button", class: "close", "aria-label": "Close the message (Escape)", click: () => release() }, "✕");
  const panel = html("section", { class: "message", "aria-label": "Message", "aria-live": "polite" }, close, content);
  const drawing = drawLadder(ladder, show, hover);

  function show(at, row, only = null) {
    hover();
    content.replaceChildren(...messagePanel(call, told, texts, row, only, (n) => show(at, row, n)).filter(Boolean));
    panel.classList.add("open");
    panel.scrollTop = 0;
    history.replaceState(null, "", `#call=${call.n}&row=${at + 1}`);
  }

  function release() {
    panel.classList.remove("open");
    content.replaceChildren();
    drawing.focus();
    drawing.release();
    history.replaceState(null, "", `#call=${call.n}`);
  }

  function hover(row, node) {
    const step = row && stepText(ladder, row);
    tip.hidden = !step;
    if (!step) return;
    tip.textContent = step;
    const box = node.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(innerWidth - tip.offsetWidth - 8, box.left + 60))}px`;
    tip.style.top = `${box.top - tip.offsetHeight - 2}px`;
  }

  const rowOfFinding = (at) => ladder.findings[at]?.row ?? -1;
  const loud = told.findings.filter((finding) => finding.level !== "quiet");
  const quiet = told.findings.filter((finding) => finding.level === "quiet");
  const card = (finding) => {
    const at = rowOfFinding(told.findings.indexOf(finding));
    return findingCard(finding, at >= 0 ? () => drawing.choose(at, true) : null);
  };
  const [before, after] = [list.neighbour(call, -1), list.neighbour(call, 1)];
  const turn = (to, text, label) => html("button", { type: "button", disabled: !to, "aria-label": label, click: () => to && go(to) }, text);
  const bar = leave && html("nav", { class: "bar", "aria-label": "Calls" }, html("button", { type: "button", class: "back", click: leave }, "← All calls"),
    turn(before, "‹ previous", "Previous call ([)"), turn(after, "next ›", "Next call (])"));
  const heading = html("h2", { tabindex: -1 }, mark(call.level), `Call ${call.n}: ${ladder.title}`);
  const notes = told.notes.length > 0 && html("details", { class: "about" }, html("summary", {}, "Who took part"), html("ul", {}, ...told.notes.map((text) => html("li", {}, text))));
  const element = html("article", { class: "call" }, bar, heading, html("p", { class: "facts" }, [...ladder.facts, told.when].filter((fact, at, all) => all.indexOf(fact) === at).join(" · ")),
    html("div", { class: "columns" },
      html("section", { class: "drawn", "aria-label": "Ladder" }, drawing.element, html("p", { class: "hint" }, "Click an arrow, or use j and k, to read its message. Dashed: not in the capture.")),
      html("div", { class: "words" }, panel,
        html("section", { class: "happened", "aria-labelledby": "story" }, html("h3", { id: "story" }, "What happened"), html("p", { class: "story" }, told.story)),
        loud.length > 0 ? html("section", { "aria-labelledby": "found" }, html("h3", { id: "found" }, "What was found"), ...loud.map(card)) : html("p", { class: "fine" }, "No fault found in this call."),
        quiet.length > 0 && html("details", { class: "notes" }, html("summary", {}, "Notes on what is legal but unusual"), ...quiet.map(card)),
        notes)), tip);

  return {
    element, heading,
    /** Chooses the arrow of a row. */
    choose: (at) => drawing.choose(at),
    /** Handles a key; tells whether it meant something here. */
    key(event) {
      if (event.key === "ArrowDown" || event.key === "j") drawing.move(1);
      else if (event.key === "ArrowUp" || event.key === "k") drawing.move(-1);
      else if ((event.key === "Enter" || event.key === " ") && event.target.dataset?.row) {
        drawing.choose(Number(event.target.dataset.row));
        (panel.querySelector(".raw") ?? panel.querySelector("h3")).focus();
      } else if (event.key === "Escape" && panel.classList.contains("open")) release();
      else if (event.key === "Escape" && leave) leave();
      else if (event.key === "[" && before && leave) go(before);
      else if (event.key === "]" && after && leave) go(after);
      else return false;
      return true;
    },
  };
}
