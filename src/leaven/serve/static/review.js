// One record in the middle, the next ones ready behind it. A key shows the next at once; the answer
// goes out behind the scene and is sent again until the server says that it keeps it.
import { Outbox, word } from "./outbox.js";

const $ = (id) => document.getElementById(id);
const page = document.body.dataset;
const mine = word(); // this window
const outbox = new Outbox(page.place);
const headers = { "content-type": "application/json", "x-leaven-page": page.page };
const REMEMBERED = 30; // answered cards that undo shows again at once
const SLOWEST = 8000; // ms between two tries
const PATIENCE = 30000; // ms for one request
const LOOK = 15000; // ms after which an empty queue is looked at again
const SETTLES = page.prefix === "/settle";
const LATE = SETTLES
  ? "Somebody else had decided it; yours counts now. U takes it back."
  : "Somebody else had answered it; yours is kept beside theirs.";
const ASKED = "One more person is asked. It is here again when the others are settled.";
const NOT_ASKED = "It is being asked already. It is here again when the others are settled.";
const CALM = 700; // ms without answers after the record in the middle went away by itself

let line = []; // cards: the one in the middle, then those behind it
let answered = []; // cards, the latest last
let latest = null; // the task of the latest answer that the server knows
let trouble = null; // {sentence, signedOut} of the latest failure
let tries = 0;
let timer = null;
let running = false;
let again = false;
let away = false;
let isComing = false; // a record that was taken back, for which the middle is kept
let calm = 0; // until when no answer is taken
let lease = 900000;
let progress = { done: 0, all: 0, words: "", skipped: 0 };

// Talking to the server

async function post(path, body) {
  let response;
  try {
    response = await fetch(page.prefix + path, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    return { failed: true, sentence: "Server gone." };
  }
  let told = null;
  try {
    told = await response.json();
  } catch {
    // a page, or nothing: the status has to do
  }
  if (response.ok && told) return { told };
  const sentence = told?.error ?? "The server cannot be understood.";
  if ([401, 403, 421].includes(response.status)) {
    const link = page.team ? "Sign in in another window" : "Open the newest link from the terminal";
    const mend = `${link}, or load this page again.`;
    return { failed: true, signedOut: true, sentence: `This page is not signed in. ${mend}` };
  }
  return { failed: true, final: response.status >= 400 && response.status < 500, sentence };
}

// Everything that is to be sent, in order, then what may be shown; one round at a time.
async function pump() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  clearTimeout(timer);
  try {
    do {
      again = false;
      trouble = (await alone(sendAll)) ?? (await take());
    } while (again && !trouble);
  } finally {
    running = false;
    isComing = false;
  }
  tries = trouble ? tries + 1 : 0;
  const wait = trouble ? Math.min(250 * 2 ** tries, SLOWEST) : line.length ? 0 : LOOK;
  if (wait) timer = setTimeout(pump, wait);
  render();
}

// Two windows of one person send in turn, or an undo might overtake its answer.
function alone(work) {
  return navigator.locks ? navigator.locks.request(`leaven.${page.place}`, work) : work();
}

async function sendAll() {
  for (let entry; (entry = outbox.entries()[0]); ) {
    const { path, body } = entry;
    const result = await post(path, path === "/undo" ? { ...body, window: mine } : body);
    if (result.failed && !result.final) return result;
    if (result.failed) outbox.refuse(entry, result.sentence);
    else outbox.remove(entry.id);
    if (path === "/undo" && result.told?.task) bringBack(result.told.task);
    if (result.told?.late) say(LATE);
    if (path === "/again" && result.told) say(result.told.asked ? ASKED : NOT_ASKED);
    render();
  }
  return null;
}

async function take() {
  if (away) return null;
  const have = line.map((card) => card.task);
  const unsent = [...outbox.tasks()];
  const result = await post("/tasks", { window: mine, have, unsent });
  if (result.failed) return result;
  const { tasks, last, progress: now } = result.told;
  lease = result.told.lease * 1000;
  progress = now;
  latest = last;
  // What was said and taken back while the server thought is newer than what it answers.
  const entries = outbox.entries();
  const newer = new Set(entries.map(({ body }) => body.task));
  const waiting = outbox.tasks();
  const given = new Set(tasks.map(({ task }) => task));
  const first = line[0];
  for (const card of line) {
    if (given.has(card.task)) card.until = Date.now() + lease;
    else if (have.includes(card.task) && !newer.has(card.task)) card.gone = true;
  }
  line.filter((card) => card.gone).forEach((card) => card.node.remove());
  line = line.filter((card) => !card.gone);
  if (first?.gone) {
    calm = Date.now() + CALM;
    say("That record is no longer yours to answer; this is the next.");
  }
  const known = new Set(line.map((card) => card.task));
  for (const one of tasks) {
    if (one.html && !known.has(one.task) && !waiting.has(one.task)) line.push(card(one));
  }
  show();
  return null;
}

// Cards

function card({ task, html }) {
  const box = document.createElement("template");
  box.innerHTML = html;
  const node = box.content.firstElementChild;
  node.hidden = true;
  $("stage").append(node);
  for (const picture of node.querySelectorAll("img")) {
    picture.loading = "eager";
    picture.decode().catch(() => {});
  }
  return { task, node, until: Date.now() + lease, since: null };
}

function bringBack(one) {
  isComing = false;
  // It is there already where this window answered it, and may have been answered anew by now.
  if (line.some((card) => card.task === one.task) || outbox.tasks().has(one.task)) return;
  line.unshift(card(one));
  say("Taken back.");
  show();
}

function show() {
  line.forEach((card, place) => {
    card.node.hidden = away || place > 0;
    if (place > 0) card.since = null;
  });
  const now = line[0];
  if (now && !away && now.since === null) {
    now.since = Date.now();
    if (!document.querySelector("dialog[open]")) now.node.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  render();
}

// What a person does

function answer(choice, name) {
  const now = line[0];
  if (!now || away || isComing || Date.now() < calm) return;
  const seconds = Math.min(Math.max((Date.now() - now.since) / 1000, 0), 86400);
  outbox.add("/answer", { task: now.task, choice, key: word(), seconds });
  lay(now);
  say(choice === null ? `${SETTLES ? "Put aside" : "Skipped"}. U takes it back.` : `${name}. U takes it back.`);
  show();
  pump();
}

// The card in the middle goes, and is kept for whoever takes it back.
function lay(now) {
  line.shift();
  now.node.querySelector("audio")?.pause();
  unzoom(now.node);
  now.node.remove();
  now.since = null;
  answered = [...answered, now].slice(-REMEMBERED);
}

function askAgain() {
  const now = line[0];
  if (!SETTLES || !now || away || isComing || Date.now() < calm) return;
  outbox.add("/again", { task: now.task });
  lay(now);
  show();
  pump();
}

function choose(button) {
  answer(Number(button.dataset.choice), button.querySelector(".name").textContent);
}

function confirmGuess() {
  const button = line[0]?.node.querySelector(".answer.guess");
  if (button) choose(button);
  else if (line[0]) say("The model has no guess here. Choose a class.");
}

function undo() {
  if (away) return;
  const unsent = outbox.entries().filter(({ path }) => path !== "/undo");
  const before = answered.pop();
  const task = before?.task ?? unsent.filter(({ body }) => outbox.tasks().has(body.task)).at(-1)
    ?.body.task ?? latest;
  if (!task) {
    say("Nothing of yours is left to take back.");
    return;
  }
  latest = null;
  outbox.add("/undo", { task });
  if (before) {
    $("stage").append(before.node);
    before.until = Date.now() + lease;
    line.unshift(before);
    say("Taken back.");
  } else {
    isComing = true;
    say("Taking it back …");
  }
  show();
  pump();
}

function unzoom(node) {
  node.classList.remove("zoomed");
  node.querySelector(".zoom")?.setAttribute("aria-pressed", "false");
}

function zoom() {
  const node = line[0]?.node;
  const button = node?.querySelector(".zoom");
  if (!button) return;
  const on = node.classList.toggle("zoomed");
  button.setAttribute("aria-pressed", String(on));
}

function play() {
  const sound = line[0]?.node.querySelector(".shown audio");
  if (!sound) return;
  if (sound.paused) sound.play().catch(() => say("The sound cannot be played."));
  else sound.pause();
}

// What the page says

function say(sentence) {
  $("said").textContent = sentence;
}

function many(number) {
  return number === 1 ? "1 answer waits" : `${number} answers wait`;
}

function render() {
  const waiting = outbox.tasks().size;
  const kept = waiting ? `${many(waiting)} here and will be sent.` : "";
  const gone = trouble?.sentence === "Server gone." && waiting;
  const words = gone ? `Server gone: ${kept}` : [trouble?.sentence, kept].join(" ").trim();
  const fleeting = outbox.isFleeting ? " This browser keeps nothing: leave this page open." : "";
  set($("trouble"), trouble ? words + fleeting : "");
  const refused = outbox.refusals();
  $("refused").hidden = !refused.length;
  set($("refused").firstElementChild, refused.map(({ sentence }) => `Not taken: ${sentence}`).join(" "));
  set($("waiting"), line.length && !away ? "" : idle());
  $("progress").max = Math.max(progress.all, 1);
  $("progress").value = progress.done;
  if (progress.words) $("words").textContent = progress.words;
  $("skip").disabled = !line.length || away;
  if ($("again")) $("again").disabled = !line.length || away;
}

function set(element, words) {
  element.hidden = !words;
  if (element.textContent !== words) element.textContent = words;
}

function idle() {
  if (away) return "You were away, so these records were given back. Press any key to go on.";
  if (trouble) return "The next records come when the server is back.";
  if (running) return "Looking for records …";
  if (SETTLES) return "People differ on nothing that is left to settle. New disputes appear here by themselves.";
  const skipped = progress.skipped ? ` ${progress.skipped} skipped.` : "";
  return `Nothing is left to ask you.${skipped} New records appear here by themselves.`;
}

// Keys and buttons

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.repeat || event.isComposing) return;
  if (back()) {
    event.preventDefault();
    return;
  }
  const open = document.querySelector("dialog[open]");
  if (open) {
    if (open.id === "keys" && event.key === "?") open.close();
    return;
  }
  const at = event.target;
  if (event.key === "Enter" && at.closest?.("button, a, summary, audio")) return;
  const action = meant(event);
  if (!action) return;
  event.preventDefault();
  action();
}

function meant(event) {
  const latin = /^[\x20-\x7e]$/.test(event.key);
  const key = latin || event.key.length > 1 ? event.key : event.code.replace(/^Key/, "");
  const digit = /^[0-9]$/.exec(event.key)?.[0] ?? unshifted(event);
  const button = digit && line[0]?.node.querySelector(`.answer[data-key="${digit}"]`);
  if (button) return () => choose(button);
  const actions = {
    enter: confirmGuess,
    u: undo,
    s: () => answer(null),
    a: SETTLES && askAgain,
    z: zoom,
    p: play,
    "?": () => $("keys").showModal(),
    "/": $("find") && find,
    escape: () => line[0] && unzoom(line[0].node),
  };
  return actions[key.toLowerCase()];
}

// Where digits are typed with shift, the keys themselves choose.
function unshifted(event) {
  if (event.shiftKey || /^[a-z/?]$/i.test(event.key)) return undefined;
  return /^Digit([0-9])$/.exec(event.code)?.[1];
}

// Ends being away; true where that is all that a key or a click does.
function back() {
  leaveIfLate();
  if (!away) return false;
  away = false;
  pump();
  return true;
}

function leaveIfLate() {
  if (away || !line.length || Date.now() < line[0].until) return;
  line.forEach((card) => card.node.remove());
  line = [];
  away = true;
  show();
}

function onClick(event) {
  if (back()) return;
  const button = event.target.closest?.(".answer, .zoom");
  if (button?.matches(".answer") && line[0]?.node.contains(button)) choose(button);
  if (button?.matches(".zoom")) zoom();
}

// All classes, by name

const options = [...$("classes").children];
const plain = (name) => name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const names = options.map((option) => plain(option.textContent));
let found = []; // options with what was typed in their name, those that begin with it first
let active = 0;

function find() {
  if (!line.length) return;
  $("name").value = "";
  $("finder").showModal();
  filter();
}

function filter() {
  const wanted = plain($("name").value.trim());
  const rank = names.map((name) => (name.startsWith(wanted) ? 0 : name.includes(wanted) ? 1 : 2));
  options.forEach((option, i) => (option.hidden = rank[i] === 2));
  found = [0, 1].flatMap((wanted) => options.filter((_, i) => rank[i] === wanted));
  $("classes").append(...found);
  $("none").hidden = found.length > 0;
  point(0);
}

function point(place) {
  found.forEach((option, i) => option.setAttribute("aria-selected", String(i === place)));
  active = place;
  found[active]?.scrollIntoView({ block: "nearest" });
  $("name").setAttribute("aria-activedescendant", found[active]?.id ?? "");
}

function step(by) {
  if (found.length) point((active + by + found.length) % found.length);
}

function pick(option) {
  if (!option) return;
  $("finder").close();
  answer(Number(option.dataset.choice), option.textContent);
}

$("name").addEventListener("input", filter);
$("name").addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const moves = {
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Enter: () => pick(found[active]),
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
});
$("classes").addEventListener("click", (event) => pick(event.target.closest("[role=option]")));

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
const buttons = { undo, skip: () => answer(null), again: askAgain, find, help: () => $("keys").showModal() };
for (const [id, action] of Object.entries(buttons)) {
  $(id)?.addEventListener("click", () => {
    action();
    if (!document.querySelector("dialog[open]")) line[0]?.node.focus({ preventScroll: true });
  });
}
$("dismiss").addEventListener("click", () => {
  outbox.refusals().forEach(({ id }) => outbox.remove(id));
  render();
});
addEventListener("online", pump);
addEventListener("storage", render);
addEventListener("pageshow", (event) => event.persisted && location.reload());
addEventListener("pagehide", () => {
  fetch(`${page.prefix}/leave`, {
    method: "POST",
    keepalive: true,
    headers,
    body: JSON.stringify({ window: mine }),
  }).catch(() => {});
});
document.addEventListener("visibilitychange", leaveIfLate);
setInterval(leaveIfLate, 5000);
pump();
