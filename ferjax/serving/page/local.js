// The model in the browser: what `ask` of server.js gives, computed here, so that no picture leaves the device.
import { createDetector } from "./mtcnn.js";
import { cut, decode, resize } from "./resize.js";

const NETWORKS = { proposal: "pnet", refine: "rnet", output: "onet" };

// What is needed of the server: the runtime, the networks and `facts` about them. It is fetched once.
export async function createLocal(facts) {
  const ort = await import(new URL("../browser/ort/ort.wasm.min.mjs", import.meta.url));
  ort.env.wasm.wasmPaths = new URL("../browser/ort/", import.meta.url).href;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const open = (name) => ort.InferenceSession.create(new URL(`../browser/${name}.onnx`, import.meta.url).href);
  const classifier = await open("model");
  const networks = {};
  for (const [key, name] of Object.entries(NETWORKS)) networks[key] = await open(name);
  const detect = createDetector(ort, networks);

  async function classify(image, boxes) {
    const [height, width, channels] = facts.image_shape;
    const levels = new Uint8Array(boxes.length * height * width * channels);
    boxes.forEach((box, i) => {
      const { planes } = resize(cut(image, box, { gray: channels === 1 }), width, height);
      planes.forEach((plane, c) => plane.forEach((level, k) => (levels[(i * height * width + k) * channels + c] = level)));
    });
    const images = new ort.Tensor("uint8", levels, [boxes.length, height, width, channels]);
    const { data } = (await classifier.run({ images })).probabilities;
    return boxes.map((_, i) => Array.from(data.slice(i * facts.classes.length, (i + 1) * facts.classes.length)));
  }

  return async function ask(file, wishes) {
    const image = await decode(file).catch(() => {
      throw new Error("this browser cannot read it as a picture.");
    });
    const faces = wishes.detect ? await detect(image) : [{ box: [0, 0, image.width, image.height], score: null }];
    const boxes = faces.map(({ box }) => (wishes.detect ? addMargin(box, facts.margin) : box));
    const probabilities = boxes.length ? await classify(image, boxes) : [];
    const rows = faces.map((face, i) => createRow(facts, file.name, i, face, probabilities[i]));
    if (!rows.length) rows.push({ ...createEmpty(facts, file.name), status: "no_face" });
    const { width, height } = image;
    return { classes: facts.classes, pictures: [{ source: file.name, width, height, rows }] };
  };
}

// From left, top, right and bottom to x, y, width and height of the crop, as ferjax/inference/crops.py has it.
function addMargin([left, top, right, bottom], { side, raise }) {
  const mean = (right - left + bottom - top) / 2;
  const size = mean * side;
  const [x, y] = [(left + right) / 2 - size / 2, (top + bottom) / 2 - mean * raise - size / 2];
  return [Math.round(x), Math.round(y), Math.max(1, Math.round(size)), Math.max(1, Math.round(size))];
}

function createEmpty(facts, source) {
  return { ...Object.fromEntries(facts.columns.map((name) => [name, null])), source };
}

function createRow(facts, source, number, { box, score }, probabilities) {
  const [x, y, width, height] = [box[0], box[1], box[2] - box[0], box[3] - box[1]].map(Math.round);
  const confidence = Math.max(...probabilities);
  const label = facts.classes[probabilities.indexOf(confidence)];
  const named = Object.fromEntries(facts.classes.map((name, k) => [`p_${name}`, probabilities[k]]));
  const status = confidence < facts.unsure_below ? "unsure" : "ok";
  return { ...createEmpty(facts, source), face: number, x, y, width, height, detection: score, ...named, label, confidence, status };
}
