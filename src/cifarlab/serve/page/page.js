// How pictures get in, and the list of answers. The pictures stay in this page's memory.

import * as camera from "./camera.js";
import { Card } from "./card.js";

const MOST = 100; // pictures at a time: a folder of thousands is work for the command line
const MOST_BYTES = Number(document.body.dataset.fileBytes); // of one picture

const part = (selector) => document.querySelector(selector);
const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MB`;
const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

const list = part("#answers ol");
let cards = [];

/** Puts a card for each file on top of the list, and asks the server. */
function add(files) {
  notice(files.length > MOST ? `Of ${files.length} pictures the first ${MOST} are taken.` : "");
  if (files.length === 0) return;
  const added = [...files].slice(0, MOST).map(newCard);
  cards = [...added, ...cards];
  list.prepend(...added.map((card) => card.element));
  report();
  for (const card of added) {
    const reason = unfit(card.file);
    if (reason) card.refuse(reason);
    else card.ask();
  }
  added[0].element.scrollIntoView({ block: "nearest" });
}

function newCard(file) {
  const element = part("#card").content.firstElementChild.cloneNode(true);
  const card = new Card(file, element, announce);
  element.querySelector(".remove").onclick = () => remove(card);
  return card;
}

/** Why a file need not be sent, or null. */
function unfit(file) {
  if (file.size === 0) return "The file is empty.";
  if (file.size <= MOST_BYTES) return null;
  return `It has ${megabytes(file.size)}; this server takes ${megabytes(MOST_BYTES)}. Make it smaller first.`;
}

/** Takes a card away; the focus goes to its neighbour, as the keyboard's user expects. */
function remove(card) {
  const place = cards.indexOf(card);
  cards = cards.filter((each) => each !== card);
  card.remove();
  report();
  const next = cards[place] ?? cards.at(-1);
  (next?.element.querySelector(".remove") ?? part("#files")).focus();
}

function clear() {
  for (const card of cards) card.remove();
  cards = [];
  report();
  part("#files").focus();
}

/** What has come in, to those who see the page. */
function report() {
  const done = cards.filter((card) => card.outcome).length;
  part("#answers").hidden = cards.length === 0;
  const all = count(cards.length, "picture");
  part("#progress").textContent = done === cards.length ? all : `${done} of ${all} answered`;
}

/** And to those who hear it: each answer of a few pictures, of many only the end. */
function announce(card) {
  report();
  const open = cards.filter((each) => !each.outcome).length;
  const status = part("#status");
  if (cards.length <= 3) status.textContent = `${card.file.name}: ${card.said}`;
  else if (open === 0) status.textContent = summary();
}

function summary() {
  const of = (outcome) => cards.filter((card) => card.outcome === outcome).length;
  const parts = [
    count(of("known"), "picture") + " answered",
    of("unknown") && `${of("unknown")} probably none of the classes`,
    of("refused") && `${of("refused")} without answer`,
  ];
  return parts.filter(Boolean).join(", ");
}

/** A line above the list; an empty one takes it away. */
function notice(text) {
  part("#notice").textContent = text;
  part("#notice").hidden = text === "";
}

/** The files of a drop or a paste; folders and text are none. */
function filesOf(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const folders = items.filter((item) => item.webkitGetAsEntry?.()?.isDirectory);
  if (folders.length > 0) return [];
  return [...transfer.files];
}

function addFrom(transfer) {
  const files = filesOf(transfer);
  if (files.length > 0) add(files);
  else notice("There is no picture file in that. Save the picture or open the folder first.");
}

// --- the ways in ---

for (const input of [part("#files"), part("#photograph")]) {
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = ""; // so that the same file may be chosen again
  });
}

let depth = 0; // of elements that the pointer has entered with something in its hand
const carries = (event) => event.dataTransfer?.types.includes("Files") ?? false;
const hover = (change) => {
  depth = change === 0 ? 0 : depth + change;
  document.body.classList.toggle("dropping", depth > 0);
};
addEventListener("dragenter", (event) => carries(event) && hover(1));
addEventListener("dragleave", (event) => carries(event) && hover(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault(); // or the browser would leave the page and open the file
  hover(0);
  addFrom(event.dataTransfer);
});
addEventListener("paste", (event) => event.clipboardData && addFrom(event.clipboardData));

for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", async () => {
    const image = button.querySelector("img");
    const blob = await (await fetch(image.src)).blob();
    add([new File([blob], `${button.dataset.example}.jpg`, { type: blob.type })]);
  });
}

const onPhone = matchMedia("(pointer: coarse)").matches;
part("label[for=photograph]").hidden = !onPhone;
part("#photograph").hidden = !onPhone;
part("#camera").hidden = onPhone || !camera.available;
part("#camera").addEventListener("click", async () => {
  try {
    const photograph = await camera.photograph(part("#viewfinder"));
    if (photograph) add([photograph]);
  } catch (error) {
    notice(error.message);
  }
});

part("#clear").addEventListener("click", clear);
part("#limit").textContent = megabytes(MOST_BYTES);

// --- light or dark: as the system has it, until the button says otherwise ---

const theme = part("#theme");
const memory = (() => {
  try {
    return localStorage;
  } catch {
    return null; // a browser that keeps nothing
  }
})();
const systemDark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  theme.setAttribute("aria-pressed", String(name ? name === "dark" : systemDark.matches));
}
theme.addEventListener("click", () => {
  const name = theme.getAttribute("aria-pressed") === "true" ? "light" : "dark";
  memory?.setItem("theme", name);
  setTheme(name);
});
systemDark.addEventListener("change", () => setTheme(document.documentElement.dataset.theme));
setTheme(memory?.getItem("theme"));
