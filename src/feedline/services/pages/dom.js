// Elements made from data: text is always text, never markup.

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value === "boolean") element[key] = value;
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function table(caption, columns, rows) {
  const head = make("tr", {}, columns.map((column) => make("th", { scope: "col" }, column)));
  const body = rows.map((cells) => (cells instanceof Node ? cells : make("tr", {}, cells.map((cell) => make("td", {}, cell)))));
  const whole = make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, body));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, whole);
}

let counter = 0;
export function labelled(text, input) {
  input.id = input.id || `input-${++counter}`;
  return make("div", {}, make("label", { for: input.id }, text), input);
}

export function say(text, bad = false) {
  const status = document.getElementById("status");
  status.className = bad ? "bad" : "";
  status.textContent = text;
}

// Asks before something is done, on the page itself: a frame of another page may open no window of the browser's own.
export function agreed(question, yes) {
  return new Promise((resolve) => {
    const answer = (value, title, look) => make("button", { type: "button", class: look, onclick: () => dialog.close(value) }, title);
    const dialog = make("dialog", { "aria-label": question, onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      make("p", {}, question), make("div", { class: "row" }, answer("yes", yes, "main"), answer("no", "Leave it")));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Tabs as WAI-ARIA has them: arrows move, one tab stop. `show` fills the panel the first time it is opened.
export function tabs(name, entries) {
  const list = make("div", { role: "tablist", "aria-label": name });
  const panels = [];
  const open = async (index, focus) => {
    [...list.children].forEach((tab, n) => {
      tab.setAttribute("aria-selected", n === index ? "true" : "false");
      tab.tabIndex = n === index ? 0 : -1;
      panels[n].hidden = n !== index;
    });
    if (focus) list.children[index].focus();
    if (!panels[index].dataset.filled) {
      panels[index].dataset.filled = "yes";
      panels[index].replaceChildren(await entries[index].show());
    }
  };
  entries.forEach((entry, index) => {
    const id = `${name}-${index}`.replace(/\W+/g, "-");
    list.append(
      make("button", {
        type: "button", role: "tab", id: `${id}-tab`, "aria-controls": id, "aria-selected": "false",
        onclick: () => open(index, false),
        onkeydown: (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (step) open((index + step + entries.length) % entries.length, true);
        },
      }, entry.title),
    );
    panels.push(make("div", { role: "tabpanel", id, "aria-labelledby": `${id}-tab`, hidden: true, tabindex: "0" }));
  });
  open(0, false);
  return [list, ...panels];
}
