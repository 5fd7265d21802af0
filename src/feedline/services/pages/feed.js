// One feed: fields as a tree that can be edited, diagram, versions, lineage, statements.

import { get, post, put, text } from "./api.js";
import { agreed, labelled, make, say, table, tabs } from "./dom.js";
import { review } from "./review.js";

const CLASSES = ["public", "internal", "confidential", "personal"];

export async function feedPage(name, path, refresh) {
  const feed = await get(`feeds/${name}`);
  const facts = [
    `Owner: ${feed.owner}`, `Topic: ${feed.topic}`, `Table: ${feed.table}`, `Version: ${feed.version || "not registered"}`,
    `Compatibility: ${feed.level}`, `Keys: ${feed.business_keys.join(", ")}`,
  ];
  const parts = tabs(`${feed.title} in parts`, [
    { title: `Fields (${feed.fields.filter((one) => one.leaf).length})`, show: async () => fields(feed, path, refresh) },
    { title: "Diagram", show: () => diagram(feed) },
    { title: "Versions", show: () => versions(feed, refresh) },
    { title: "Lineage", show: () => lineage(feed) },
    { title: "Statements", show: () => statements(feed) },
    { title: "Schema", show: async () => make("pre", { tabindex: "0" }, JSON.stringify(feed.schema, null, 2)) },
  ]);
  return [make("h2", {}, feed.title), make("p", { class: "soft" }, feed.description),
    make("ul", { class: "facts" }, facts.map((fact) => make("li", {}, fact))), ...parts];
}

function fields(feed, path, refresh) {
  const edits = new Map();
  const words = new Map();
  const rows = new Map();
  const filter = make("input", { type: "search", autocomplete: "off" });
  const pending = make("p", { class: "soft", role: "status" }, "No changes yet.");
  const results = make("div");
  const count = () => {
    const n = edits.size + words.size;
    pending.textContent = n ? `${edits.size} changes of the schema, ${words.size} of words.` : "No changes yet.";
    reviewButton.disabled = !edits.size;
    saveButton.disabled = !words.size;
  };
  const draw = (one, editing) => {
    const row = editing ? editor(one, edits, words, done) : shown(one, edits, words, () => done(one, true));
    rows.get(one.path)?.replaceWith(row);
    rows.set(one.path, row);
    return row;
  };
  const done = (one, editing) => {
    const row = draw(one, editing);
    row.querySelector(editing ? "input" : "button")?.focus();
    count();
  };
  const reviewButton = make("button", { type: "button", class: "main", disabled: true, onclick: async () => {
    results.replaceChildren(await review(feed, { edits: [...edits.values()], base: feed.version }, refresh));
    results.querySelector("h3").focus();
  } }, "Review changes");
  const saveButton = make("button", { type: "button", disabled: true, onclick: () => save(feed, words, refresh) }, "Save words");
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const one of feed.fields)
      rows.get(one.path).hidden = !`${one.path} ${one.business_name} ${one.description} ${one.classification} ${one.type}`.toLowerCase().includes(wanted);
  });
  const list = table(`Fields of ${feed.title}`, ["Field", "Type", "Optional", "Key", "Business name", "Classification", "Description", "Change"],
    feed.fields.map((one) => draw(one, false)));
  if (path && rows.has(path)) requestAnimationFrame(() => {
    rows.get(path).scrollIntoView({ block: "center" });
    rows.get(path).querySelector("button")?.focus({ preventScroll: true });
  });
  return make("div", {},
    make("div", { class: "row" }, labelled("Filter", filter), saveButton, reviewButton), pending, list, adder(edits, count), results);
}

function shown(one, edits, words, edit) {
  const change = { ...one, ...words.get(one.path), ...edits.get(one.path) };
  const touched = edits.has(one.path) || words.has(one.path);
  const cells = [
    make("td", { class: `mono d${Math.min(one.depth, 4)}` }, change.name, one.aliases.length ? make("small", {}, ` was ${one.aliases.join(", ")}`) : null),
    make("td", { class: "mono" }, change.type), make("td", {}, change.optional ? "yes" : ""), make("td", {}, change.key ? "key" : ""),
    make("td", {}, change.business_name), make("td", {}, change.classification ? make("span", { class: "tag" }, change.classification) : ""),
    make("td", {}, change.doc !== one.doc ? change.doc : change.description),
    make("td", {}, make("button", { type: "button", "aria-label": `Edit ${one.path}`, onclick: edit }, "Edit")),
  ];
  return make("tr", { class: `${touched ? "edited" : ""} ${change.remove ? "removed" : ""}` }, cells);
}

function editor(one, edits, words, done) {
  const now = { ...one, ...words.get(one.path), ...edits.get(one.path) };
  const input = (label, value) => make("input", { type: "text", value: value ?? "", "aria-label": `${label} of ${one.path}` });
  const box = (label, checked) => make("input", { type: "checkbox", checked: Boolean(checked), "aria-label": `${label}: ${one.path}` });
  const name = input("Name", now.name), type = input("Type", now.type === one.type ? one.editable : now.type);
  const optional = box("Optional", now.optional), key = box("Key", now.key);
  const business = input("Business name", now.business_name), doc = input("Description", now.doc !== one.doc ? now.doc : now.description);
  const kind = make("select", { "aria-label": `Classification of ${one.path}` },
    CLASSES.map((each) => make("option", { value: each, selected: each === now.classification }, each)));
  type.disabled = optional.disabled = !one.leaf;
  key.disabled = business.disabled = kind.disabled = !one.column;
  const keep = () => {
    const edit = { path: one.path };
    if (name.value.trim() !== one.name) edit.name = name.value.trim();
    if (one.leaf && type.value.trim() !== one.editable) edit.type = type.value.trim();
    if (one.leaf && optional.checked !== one.optional) edit.optional = optional.checked;
    if (one.column && key.checked !== one.key) edit.key = key.checked;
    if (!one.column && doc.value !== one.doc) edit.doc = doc.value;
    const word = {};
    if (one.column && business.value !== one.business_name) word.business_name = business.value;
    if (one.column && kind.value !== one.classification) word.classification = kind.value;
    if (one.column && doc.value !== one.description) word.description = doc.value;
    Object.keys(edit).length > 1 ? edits.set(one.path, edit) : edits.delete(one.path);
    Object.keys(word).length ? words.set(one.path, word) : words.delete(one.path);
    done(one, false);
  };
  const cancel = () => { edits.delete(one.path); words.delete(one.path); done(one, false); };
  const remove = () => { edits.set(one.path, { path: one.path, remove: true }); done(one, false); };
  const keys = (event) => { if (event.key === "Enter") keep(); if (event.key === "Escape") cancel(); };
  return make("tr", { class: "edited", onkeydown: (event) => event.target.tagName === "INPUT" && keys(event) },
    [name, type, optional, key, business, kind, doc].map((each) => make("td", {}, each)),
    make("td", {}, make("button", { type: "button", class: "main", onclick: keep }, "Keep"), " ",
      make("button", { type: "button", onclick: cancel }, "Undo"), " ", make("button", { type: "button", onclick: remove }, "Remove")));
}

function adder(edits, count) {
  const name = make("input", { type: "text", required: true, pattern: "[A-Za-z_][A-Za-z0-9_]*" });
  const type = make("input", { type: "text", value: "string", list: "types" });
  const parent = make("input", { type: "text", placeholder: "top level" });
  const doc = make("input", { type: "text" });
  const types = make("datalist", { id: "types" }, ["string", "long", "int", "boolean", "decimal(24,2)", "date", "timestamp-micros", "A | B"].map((each) => make("option", { value: each })));
  const add = (event) => {
    event.preventDefault();
    edits.set(`+${parent.value}.${name.value}`, { path: parent.value.trim(), add: name.value.trim(), type: type.value, doc: doc.value });
    say(`${name.value} will be added as an optional field: review the changes`);
    name.value = doc.value = "";
    count();
  };
  return make("form", { class: "panel", onsubmit: add }, make("h3", {}, "Add a field"), types,
    make("div", { class: "row" }, labelled("Name of the new field", name), labelled("Its type", type), labelled("Below the record", parent), labelled("What it is", doc), make("button", {}, "Add")));
}

async function save(feed, words, refresh) {
  const model = await get(`feeds/${feed.name}/ldm`);
  for (const entity of model.entities)
    for (const one of entity.attributes) {
      const word = words.get(one.path);
      if (!word) continue;
      if (word.business_name !== undefined) one.name = word.business_name;
      if (word.classification !== undefined) one.classification = word.classification;
      if (word.description !== undefined) one.description = word.description;
    }
  await put(`feeds/${feed.name}/ldm`, { model });
  await refresh();
  say("Saved.");
}

async function diagram(feed) {
  const drawn = await text(`feeds/${feed.name}/diagram`);
  const address = URL.createObjectURL(new Blob([drawn], { type: "image/svg+xml" }));
  const words = await text(`feeds/${feed.name}/diagram?form=mermaid`);
  return make("div", {}, make("div", { class: "diagram", tabindex: "0", role: "region", "aria-label": "Diagram" },
    make("img", { src: address, alt: `Entities of ${feed.title} and how they relate; the same as text is below` })),
    make("details", {}, make("summary", {}, "As text (Mermaid)"), make("pre", { tabindex: "0" }, words)));
}

async function versions(feed, refresh) {
  const found = await get(`feeds/${feed.name}/versions`);
  const back = (one) => make("button", { type: "button", "aria-label": `Roll back to version ${one.version}`, onclick: async () => {
    if (!await agreed(`Make version ${one.version} the latest again? Nothing is deleted.`, "Make it the latest")) return;
    const made = await post(`feeds/${feed.name}/rollback`, { to: one.version, base: feed.version });
    await refresh();
    say(`Version ${made.version} is version ${one.version} again.`);
  } }, "Roll back");
  return table(`Versions of ${feed.title}`, ["Version", "Schema id", "By", "When", "Why", "What changed", "Again"],
    found.map((one) => [String(one.version), String(one.id), one.by || "unknown", one.at, one.what,
      make("ul", {}, one.changes.slice(0, 12).map((each) => make("li", {}, each))), one.version === feed.version ? "latest" : back(one)]));
}

async function lineage(feed) {
  const found = await get(`feeds/${feed.name}/lineage`);
  return table(`From field to column: ${found.length} values`, ["Field", "Topic", "Table", "Column", "View", "Classification"],
    found.map((one) => [one.field, one.topic, one.table, one.column, one.view, one.classification]));
}

async function statements(feed) {
  const found = await get(`feeds/${feed.name}/ddl`);
  return make("pre", { tabindex: "0" }, found.map((one) => `${one};`).join("\n\n"));
}
