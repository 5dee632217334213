// Forms that let people in: signing in, choosing a password, and what admins change.
// A password goes nowhere but into one request; a secret in the address stays behind its #.

const $ = (id) => document.getElementById(id);
const page = document.body.dataset;

async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-leaven-page": page.page },
      body: JSON.stringify(body),
    });
  } catch {
    return { error: "Server gone. Try again." };
  }
  try {
    return await response.json();
  } catch {
    return { error: "The server cannot be understood." };
  }
}

function trouble(sentence) {
  $("trouble").hidden = !sentence;
  $("trouble").textContent = sentence ?? "";
}

async function once(form, work) {
  const buttons = form.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    await work();
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

// Through one of the doors

const secret = location.hash.slice(1);
const bodies = {
  "sign-in": ({ name, password }) => ({ name, password }),
  welcome: ({ password }) => ({ secret, password }),
  account: ({ old, password }) => ({ old, password }),
};
if (page.kind === "welcome") {
  history.replaceState(null, "", location.pathname); // not for who looks over a shoulder
  if (!secret) trouble("This link is not whole. Copy all of it, with what is behind the #.");
}

async function enter(form) {
  const told = Object.fromEntries(new FormData(form));
  if ("twice" in told && told.twice !== told.password) return trouble("The two are not the same.");
  trouble();
  const found = await post(`/${page.kind}`, bodies[page.kind](told));
  if (found.to) return location.replace(found.to);
  trouble(found.error);
  const field = form.querySelector("[type=password]");
  field.value = "";
  field.focus();
}

$("door")?.addEventListener("submit", (event) => {
  event.preventDefault();
  once(event.target, () => enter(event.target));
});
$("out")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const found = await post("/sign-out", {});
  if (found.to) location.replace(found.to);
  else trouble(found.error);
});

// What admins do

function show(found, name) {
  trouble(found.error);
  if (found.error) return;
  const told = found.invitation
    ? [`For ${name} alone, once, within a week:`, `${location.origin}/welcome#${found.invitation}`]
    : found.token && [`The token of ${name}, shown this once:`, found.token];
  if (!told) return location.reload();
  $("secret").hidden = false;
  $("secret").firstElementChild.textContent = told[0];
  $("secret").lastElementChild.textContent = told[1];
  $("secret").scrollIntoView({ block: "nearest" });
}

for (const one of document.querySelectorAll("button[data-do]")) {
  one.addEventListener("click", async () => {
    const { name } = one.dataset;
    show(await post(one.dataset.do, { name }), name);
  });
}
for (const one of document.querySelectorAll("select[data-do]")) {
  const before = one.value;
  one.addEventListener("change", async () => {
    const { name } = one.dataset;
    const found = await post(one.dataset.do, { name, role: one.value });
    if (found.error) one.value = before;
    show(found, name);
  });
}
for (const form of document.querySelectorAll("form[data-do]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const told = Object.fromEntries(new FormData(form));
    once(form, async () => show(await post(form.dataset.do, told), told.name));
  });
}
