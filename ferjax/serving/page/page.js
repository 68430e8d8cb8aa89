// The page: pictures come in by drop, choice, paste or camera; answers are drawn and can be downloaded.
import * as server from "./server.js";
import { drawPicture } from "./drawing.js";
import { openCamera } from "./camera.js";
import { download, toCsv } from "./download.js";
import { createLocal } from "./local.js";

const byId = (id) => document.getElementById(id);
const kept = []; // the pictures of the answers that are shown
let answering = Promise.resolve(); // pictures are answered one after the other
let columns = []; // of a row
let local = null; // what answers within the browser, once it is wanted

const ask = (file, wishes) => (byId("local").checked ? local(file, wishes) : server.ask(file, wishes));

function say(text, bad = false) {
  byId("said").textContent = text;
  byId("said").classList.toggle("bad", bad);
}

async function answer(file) {
  say(`Answering ${file.name} …`);
  const wishes = { detect: !byId("crops").checked };
  let picture;
  try {
    const answers = await ask(file, wishes);
    picture = answers.pictures[0];
    keep(file, picture, answers.classes, wishes);
  } catch (error) {
    keep(file, createUnread(file.name, error.message), [], wishes);
    say(`${file.name}: ${error.message}`, true);
    return;
  }
  say(`${file.name}: ${describe(picture)}`);
}

// What was refused has its row, too: no picture is lost.
function createUnread(source, reason) {
  const row = { ...Object.fromEntries(columns.map((name) => [name, null])), source, status: "unreadable", reason };
  return { source, width: null, height: null, rows: [row] };
}

function describe(picture) {
  const faces = picture.rows.filter((row) => row.face !== null);
  if (!faces.length) return "no face was found.";
  const words = faces.map((row) => row.label + (row.status === "unsure" ? " (unsure)" : ""));
  return `${faces.length === 1 ? "one face" : `${faces.length} faces`}: ${words.join(", ")}.`;
}

function keep(file, picture, classes, wishes) {
  const explain = async () => (await server.ask(file, { ...wishes, explain: "grad_cam" })).pictures[0].explanations;
  // What was answered here is not sent away in order to be explained.
  const article = drawPicture(file, picture, classes, byId("local").checked ? null : explain);
  kept.push({ picture, article });
  byId("pictures").prepend(article);
  byId("results").hidden = false;
}

function take(files) {
  for (const file of files) answering = answering.then(() => answer(file));
}

function listRows() {
  return kept.flatMap(({ picture }) => picture.rows);
}

function listenToDrops() {
  const drop = byId("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  byId("files").addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = "";
  });
}

function listenToButtons() {
  byId("csv").addEventListener("click", () => download("faces.csv", "text/csv", toCsv(listRows())));
  byId("json").addEventListener("click", () => download("faces.json", "application/json", JSON.stringify(listRows(), null, 1)));
  byId("clear").addEventListener("click", () => {
    for (const { article } of kept.splice(0)) {
      URL.revokeObjectURL(article.querySelector("img")?.src);
      article.remove();
    }
    byId("results").hidden = true;
    say("The answers are gone.");
    byId("files").focus();
  });
  const notice = byId("camera-notice");
  byId("camera-ask").addEventListener("click", () => notice.showModal());
  notice.addEventListener("close", () => {
    if (notice.returnValue === "agree") openCamera({ ask, keep, say, wishes: () => ({ detect: !byId("crops").checked }) });
    notice.returnValue = "";
  });
}

const PLACES = {
  server: ["privacy", "camera-where"].map((id) => [id, byId(id).textContent]),
  here: [
    ["privacy", "Pictures stay on this device: the model runs in this browser, and nothing is sent."],
    ["camera-where", "Its pictures stay on this device."],
  ],
};

// Offers to answer within the browser, where the server has what that needs.
async function offerLocal() {
  const facts = await server.fetchFacts();
  columns = facts.columns;
  byId("local-label").hidden = !facts.available;
  byId("local").checked = false; // a browser may remember it
  byId("local").addEventListener("change", async (event) => {
    if (event.target.checked && !local) {
      event.target.disabled = true;
      event.target.checked = false;
      say(`Loading the model (${(facts.bytes / 1e6).toFixed(1)} MB) …`);
      try {
        local = await createLocal(facts);
        event.target.checked = true;
        say("The model runs in this browser now.");
      } catch (error) {
        say(`This browser cannot run the model (${error.message}).`, true);
      }
      event.target.disabled = false;
    }
    for (const [id, text] of PLACES[event.target.checked ? "here" : "server"]) byId(id).textContent = text;
  });
}

listenToDrops();
listenToButtons();
offerLocal().catch((error) => say(error.message, true));
