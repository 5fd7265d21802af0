// Which page is shown: by the part of the address behind #.

import { Problem, base, get, hasKey, signIn, signOut } from "./api.js";
import { discoverPage } from "./discover.js";
import { labelled, make, say } from "./dom.js";
import { feedPage } from "./feed.js";

const main = document.getElementById("main");
const hits = document.getElementById("hits");
const search = document.getElementById("search");
let feeds = [];

function link(href, title, small, current) {
  const anchor = make("a", { href, "aria-current": current ? "page" : null }, title, make("small", {}, small));
  return make("li", {}, anchor);
}

function listFeeds() {
  const here = decodeURIComponent(location.hash.split("/")[2] || "");
  hits.replaceChildren(...feeds.map((feed) =>
    link(`#/feeds/${feed.name}`, feed.title, `${feed.fields} fields, ${feed.version ? `version ${feed.version}` : "not registered"}`, feed.name === here)));
}

let asked = 0;
async function find() {
  const words = search.value.trim();
  const turn = ++asked;
  if (!words) return listFeeds();
  const found = await get(`feeds/search?q=${encodeURIComponent(words)}`);
  // An answer that a later question has overtaken is not shown.
  if (turn !== asked) return;
  hits.replaceChildren(...found.slice(0, 60).map((hit) =>
    link(`#/feeds/${hit.feed}${hit.path ? `/${encodeURIComponent(hit.path)}` : ""}`, hit.name, hit.path ? `${hit.feed}: ${hit.path}` : "feed")));
  say(`${found.length} found`);
}

function askForKey(reason) {
  const input = make("input", { type: "password", autocomplete: "off", required: true });
  const enter = (event) => {
    event.preventDefault();
    signIn(input.value.trim());
    start();
  };
  main.replaceChildren(make("form", { class: "panel", onsubmit: enter },
    make("h2", {}, "Sign in"),
    make("p", {}, reason),
    labelled("API key", input),
    make("p", {}, make("button", { class: "main" }, "Sign in")),
    make("p", { class: "soft" }, "Make one with: feedline keys add NAME --role engineer")));
  input.focus();
}

async function show() {
  const here = location.hash;
  const [, kind, name, path] = here.split("/").map(decodeURIComponent);
  const again = () => refresh(here);
  say("");
  try {
    if (kind === "feeds" && name) {
      const page = await feedPage(name, path, again);
      // Whoever has gone on meanwhile keeps the page that they are on, with what they have entered there.
      if (location.hash !== here) return;
      main.replaceChildren(...page);
    } else if (kind === "discover") main.replaceChildren(...discoverPage(feeds, again));
    else main.replaceChildren(make("h2", {}, "Feeds"), overview());
    if (document.activeElement === document.body) main.focus();
  } catch (error) {
    report(error);
  }
  if (!search.value) listFeeds();
}

function overview() {
  const row = (feed) => make("tr", {},
    make("td", {}, make("a", { href: `#/feeds/${feed.name}` }, feed.title)), make("td", {}, feed.description),
    make("td", {}, feed.owner), make("td", {}, String(feed.fields)), make("td", {}, feed.version ? String(feed.version) : "none"));
  const head = ["Feed", "What it is", "Owner", "Fields", "Version"].map((name) => make("th", { scope: "col" }, name));
  return make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, feeds.map(row)));
}

// After a change made on the page `here`.
async function refresh(here) {
  feeds = await get("feeds");
  if (location.hash === here) await show();
  else if (!search.value) listFeeds();
}

function signInElsewhere(path) {
  const address = new URL(path, base);
  address.searchParams.set("next", location.href);
  main.replaceChildren(make("div", { class: "panel" },
    make("h2", {}, "Sign in"),
    make("p", {}, "These pages show what Airflow lets you see."),
    make("p", {}, make("a", { class: "button", href: address.href, target: "_top" }, "Sign in to Airflow"))));
}

function report(error) {
  if (error instanceof Problem && error.status === 401) {
    if (error.document.signIn) return signInElsewhere(error.document.signIn);
    return askForKey(hasKey() ? "That key is not accepted." : "These pages show what the service gives you.");
  }
  say(error.message, true);
}

async function start() {
  try {
    feeds = await get("feeds");
    if (hasKey()) document.getElementById("who").replaceChildren(make("button", { type: "button", onclick: () => { signOut(); location.reload(); } }, "Sign out"));
    await show();
  } catch (error) {
    report(error);
  }
}

window.addEventListener("hashchange", show);
window.addEventListener("unhandledrejection", (event) => report(event.reason));
search.addEventListener("input", find);
start();
