
// Which page is shown, and the keys that work on all of them.

const page = document.getElementById("page");
const KEYS = [["j, k, ↓, ↑", "next, previous call or arrow"], ["Enter", "open the call, read the message"], ["Escape", "close the message, back to the calls"],
  ["[, ]", "previous, next call"], ["/", "search"], ["?", "this help"]];
const help = html("dialog", { "aria-labelledby": "help" }, html("h2", { id: "help" }, "Keys"),
  html("dl", {}, ...KEYS.flatMap(([key, what]) => [html("dt", {}, html("kbd", {}, key)), html("dd", {}, what)])),
  html("form", { method: "dialog" }, html("button", {}, "Close")));
const footer = html("footer", {}, `${index.tool} · times in UTC · passwords and digests masked · `, html("button", { type: "button", class: "link", click: () => help.showModal() }, "keys: ?"));
document.body.append(footer, help);

const list = callList((call) => go(call));
const home = html("div", { class: "home" }, ...summary((problem) => {
  const found = list.only(problem);
  if (found.length === 1) go(found[0]);
  else {
    list.element.scrollIntoView();
    list.grid.focus({ preventScroll: true });
  }
}).flat().filter(Boolean), calls.length > 1 ? list.element : null);
home.querySelectorAll(":scope > :empty").forEach((node) => node.remove());

let open = null;
/** Where the list was scrolled to when a call was opened. */
let place = 0;
/** The call that the address names; a page that comes too late is not shown. */
let wanted = null;

const go = (call) => { location.hash = `call=${call.n}`; };
const leave = () => { location.hash = ""; };

async function route() {
  const address = new URLSearchParams(location.hash.slice(1));
  const call = calls.find((one) => one.n === Number(address.get("call"))) ?? null;
  wanted = call;
  if (!call) return showHome();
  if (!open) place = scrollY;
  const made = await callPage(call, list, go, calls.length > 1 ? leave : null);
  if (wanted !== call) return;
  open?.element.remove();
  open = { call, ...made };
  if (calls.length > 1) {
    page.replaceChildren(made.element);
    scrollTo(0, 0);
    made.heading.focus({ preventScroll: true });
  } else home.append(made.element);
  const row = Number(address.get("row"));
  if (row > 0) made.choose(row - 1);
}

function showHome() {
  const from = open?.call;
  open = null;
  page.replaceChildren(home);
  if (calls.length === 1) {
    history.replaceState(null, "", `#call=${calls[0].n}`);
    return route();
  }
  list.refresh();
  if (!from) return undefined;
  scrollTo(0, place);
  list.show(from);
  list.grid.focus({ preventScroll: true });
  return undefined;
}

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const isTyping = event.target.matches?.("input, select, textarea");
  if (isTyping) {
    if (event.key !== "Escape" && !(event.key === "Enter" && event.target === list.search)) return;
    if (event.key === "Escape" && event.target === list.search && list.search.value) list.reset();
    else list.grid.focus();
  } else if (event.key === "?") help.showModal();
  else if (event.key === "/" && list.element.isConnected) list.search.focus();
  else if (open && event.target.matches?.("button, summary, a") && (event.key === "Enter" || event.key === " ")) return;
  else if (open?.key(event)) { /* done */ }
  else if (!open && event.target === document.body && ["j", "k", "ArrowDown", "ArrowUp", "Enter"].includes(event.key)) {
    list.grid.focus({ preventScroll: true });
    list.grid.dispatchEvent(new KeyboardEvent("keydown", { key: event.key }));
  } else return;
  event.preventDefault();
});

page.append(home);
route();
