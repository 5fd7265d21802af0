// The fields of a schema as a table whose rows can be edited: types and keys are edits of the schema, names and
// classification are words of the model.

import { make, table } from "./dom.js";

const CLASSES = ["public", "internal", "confidential", "personal"];

// fields: as the service gives them. extras: further columns, { title, cell(one, edit) }. removable: whether a field may
// go. described: whether words of a field go to the model, by default where it has a column. changed: called after each change.
export function fieldTable(caption, fields, { extras = [], removable = true, described = (one) => Boolean(one.column), changed = () => {} }) {
  const edits = new Map(), words = new Map(), rows = new Map();
  const options = { extras, removable, described };
  const draw = (one, editing) => {
    const row = editing ? editor(one, edits, words, options, done) : shown(one, edits, words, options, edit);
    rows.get(one.path)?.replaceWith(row);
    rows.set(one.path, row);
    return row;
  };
  const done = (one, editing) => {
    draw(one, editing).querySelector(editing ? "input" : "button")?.focus();
    changed();
  };
  // Opens a row, or makes one change of it without opening it.
  const edit = (one, change) => {
    if (change) edits.set(one.path, { ...edits.get(one.path), path: one.path, ...change });
    done(one, !change);
  };
  const filter = make("input", { type: "search", autocomplete: "off" });
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const one of fields)
      rows.get(one.path).hidden = !`${one.path} ${one.business_name} ${one.description} ${one.classification} ${one.type}`.toLowerCase().includes(wanted);
  });
  const columns = ["Field", "Type", "Optional", "Key", "Business name", "Classification", "Description", ...extras.map((extra) => extra.title), "Change"];
  const node = table(caption, columns, fields.map((one) => draw(one, false)));
  const show = (path) => requestAnimationFrame(() => {
    rows.get(path)?.scrollIntoView({ block: "center" });
    rows.get(path)?.querySelector("button")?.focus({ preventScroll: true });
  });
  return { node, filter, edits, words, show };
}

function shown(one, edits, words, { extras }, edit) {
  const change = { ...one, ...words.get(one.path), ...edits.get(one.path) };
  const touched = edits.has(one.path) || words.has(one.path);
  const former = one.aliases?.length ? ` was ${one.aliases.join(", ")}` : one.former && one.former !== change.name ? ` in documents ${one.former}` : "";
  const cells = [
    make("td", { class: `mono d${Math.min(one.depth, 4)}` }, change.name, former ? make("small", {}, former) : null),
    make("td", { class: "mono" }, change.type), make("td", {}, change.optional ? "yes" : ""), make("td", {}, change.key ? "key" : ""),
    make("td", {}, change.business_name), make("td", {}, change.classification ? make("span", { class: "tag" }, change.classification) : ""),
    make("td", {}, change.doc !== one.doc ? change.doc : change.description),
    ...extras.map((extra) => make("td", {}, extra.cell(one, edit))),
    make("td", {}, make("button", { type: "button", "aria-label": `Edit ${one.path}`, onclick: () => edit(one) }, "Edit")),
  ];
  return make("tr", { class: `${touched ? "edited" : ""} ${change.remove ? "removed" : ""}` }, cells);
}

function editor(one, edits, words, { extras, removable, described }, done) {
  const now = { ...one, ...words.get(one.path), ...edits.get(one.path) };
  const named = described(one);
  const input = (label, value) => make("input", { type: "text", value: value ?? "", "aria-label": `${label} of ${one.path}` });
  const box = (label, checked) => make("input", { type: "checkbox", checked: Boolean(checked), "aria-label": `${label}: ${one.path}` });
  const name = input("Name", now.name), type = input("Type", now.type === one.type ? one.editable : now.type);
  const optional = box("Optional", now.optional), key = box("Key", now.key);
  const business = input("Business name", now.business_name), doc = input("Description", now.doc !== one.doc ? now.doc : now.description);
  const kind = make("select", { "aria-label": `Classification of ${one.path}` },
    CLASSES.map((each) => make("option", { value: each, selected: each === now.classification }, each)));
  type.disabled = optional.disabled = !one.leaf;
  key.disabled = business.disabled = kind.disabled = !named;
  const keep = () => {
    const edit = { path: one.path };
    if (name.value.trim() !== one.name) edit.name = name.value.trim();
    if (one.leaf && type.value.trim() !== one.editable) edit.type = type.value.trim();
    if (one.leaf && optional.checked !== one.optional) edit.optional = optional.checked;
    if (named && key.checked !== one.key) edit.key = key.checked;
    if (!named && doc.value !== one.doc) edit.doc = doc.value;
    const word = {};
    if (named && business.value !== one.business_name) word.business_name = business.value;
    if (named && kind.value !== one.classification) word.classification = kind.value;
    if (named && doc.value !== one.description) word.description = doc.value;
    Object.keys(edit).length > 1 ? edits.set(one.path, edit) : edits.delete(one.path);
    Object.keys(word).length ? words.set(one.path, word) : words.delete(one.path);
    done(one, false);
  };
  const cancel = () => { edits.delete(one.path); words.delete(one.path); done(one, false); };
  const remove = () => { edits.set(one.path, { path: one.path, remove: true }); done(one, false); };
  const keys = (event) => { if (event.key === "Enter") keep(); if (event.key === "Escape") cancel(); };
  return make("tr", { class: "edited", onkeydown: (event) => event.target.tagName === "INPUT" && keys(event) },
    [name, type, optional, key, business, kind, doc].map((each) => make("td", {}, each)),
    extras.map((extra) => make("td", {}, extra.cell(one, null))),
    make("td", {}, make("button", { type: "button", class: "main", onclick: keep }, "Keep"), " ",
      make("button", { type: "button", onclick: cancel }, "Undo"), " ",
      removable ? make("button", { type: "button", onclick: remove }, "Remove") : null));
}
