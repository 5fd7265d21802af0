// The service below these pages. Signed in by Airflow's cookie where it is mounted there, else by an API key that is
// kept for this tab only.

export const base = new URL("../", document.baseURI);
const KEY = "feedline.key";

export const signIn = (key) => sessionStorage.setItem(KEY, key);
export const signOut = () => sessionStorage.removeItem(KEY);
export const hasKey = () => Boolean(sessionStorage.getItem(KEY));

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.message || `The service answered ${status}.`);
    this.status = status;
    this.document = document;
  }
}

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { "X-Feedline": "page", ...(key ? { "X-API-Key": key } : {}), ...options.headers };
  let answer;
  try {
    answer = await fetch(new URL(path, base), { ...options, headers, credentials: "same-origin" });
  } catch {
    throw new Problem(0, { detail: "The service does not answer: try again in a moment." });
  }
  if (answer.ok) return answer;
  let document = {};
  try { document = await answer.json(); } catch { /* not one of ours */ }
  throw new Problem(answer.status, document);
}

export const get = async (path) => (await ask(path)).json();
export const text = async (path) => (await ask(path)).text();
const json = (method) => async (path, body) =>
  (await ask(path, { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } })).json();
export const post = json("POST");
export const put = json("PUT");
export const upload = async (path, file) =>
  (await ask(path, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } })).json();
