// MTCNN (Zhang et al. 2016, arXiv 1604.02878), as ferjax/inference/detectors/mtcnn.py has it, in onnxruntime-web.
import { cut, resize } from "./resize.js";

const SMALLEST_PX = 20;
const SMALLEST_OF_SIDE = 50;
const SIDES_PX = { proposal: 12, refine: 24, output: 48 };
const STRIDE_PX = 2;
const PYRAMID_FACTOR = 0.709;
const THRESHOLDS = { proposal: 0.7, refine: 0.7, output: 0.8 };
const OVERLAP_OF_LEVEL = 0.5;
const OVERLAP = 0.7;
const MOST_PROPOSALS = 1000;
const AT_ONCE = 64;

// `networks` are the sessions {proposal, refine, output}; a face is {box: [left, top, right, bottom], score}.
export function createDetector(ort, networks) {
  async function run(network, pieces, width, height) {
    // Transposed: [n, width, height, 3].
    const values = new Float32Array(pieces.length * width * height * 3);
    let to = 0;
    for (const { planes } of pieces) {
      for (let x = 0; x < width; x++) {
        for (let y = 0; y < height; y++) {
          for (let c = 0; c < 3; c++) values[to++] = (planes[c][y * width + x] - 127.5) / 128;
        }
      }
    }
    const session = networks[network];
    const input = new ort.Tensor("float32", values, [pieces.length, width, height, 3]);
    const found = await session.run({ [session.inputNames[0]]: input });
    return session.outputNames.map((name) => found[name]);
  }

  async function propose(image) {
    const smallest = Math.max(SMALLEST_PX, Math.max(image.width, image.height) / SMALLEST_OF_SIDE);
    const whole = cut(image, [0, 0, image.width, image.height]);
    const found = [];
    for (let scale = SIDES_PX.proposal / smallest; Math.min(image.width, image.height) * scale >= SIDES_PX.proposal; scale *= PYRAMID_FACTOR) {
      const [width, height] = [Math.ceil(image.width * scale), Math.ceil(image.height * scale)];
      const level = resize(whole, width, height, "box");
      const [shifts, scores] = await run("proposal", [level], width, height);
      const [columns, rows] = scores.dims.slice(1);
      let places = [];
      for (let i = 0; i < columns * rows; i++) {
        const score = scores.data[2 * i + 1];
        if (score < THRESHOLDS.proposal) continue;
        const [x, y] = [STRIDE_PX * Math.floor(i / rows), STRIDE_PX * (i % rows)];
        const box = [x, y, x + SIDES_PX.proposal, y + SIDES_PX.proposal].map((edge) => edge / scale);
        places.push({ box, score, shift: shifts.data.slice(4 * i, 4 * i + 4) });
      }
      places.sort((a, b) => b.score - a.score);
      places = suppress(places.slice(0, MOST_PROPOSALS), OVERLAP_OF_LEVEL);
      found.push(...places.map(shift));
    }
    return suppress(found, OVERLAP);
  }

  async function look(network, image, faces) {
    const side = SIDES_PX[network];
    const sure = [];
    for (let first = 0; first < faces.length; first += AT_ONCE) {
      const some = faces.slice(first, first + AT_ONCE);
      const pieces = some.map(({ box }) => {
        const [left, top] = [Math.round(box[0]), Math.round(box[1])];
        const [width, height] = [Math.max(1, Math.round(box[2]) - left), Math.max(1, Math.round(box[3]) - top)];
        return resize(cut(image, [left, top, width, height], { black: true }), side, side, "box");
      });
      const outputs = await run(network, pieces, side, side);
      const [shifts, scores] = [outputs[0], outputs.at(-1)];
      some.forEach(({ box }, i) => {
        const score = scores.data[2 * i + 1];
        if (score > THRESHOLDS[network]) sure.push({ box, score, shift: shifts.data.slice(4 * i, 4 * i + 4) });
      });
    }
    return sure.map(shift);
  }

  return async (image) => {
    const proposed = (await propose(image)).map(square);
    const refined = suppress(await look("refine", image, proposed), OVERLAP).map(square);
    return suppress(await look("output", image, refined), OVERLAP, true);
  };
}

function shift({ box, score, shift }) {
  const sides = [box[2] - box[0], box[3] - box[1]];
  return { box: box.map((edge, i) => edge + shift[i] * sides[i % 2]), score };
}

function square({ box, score }) {
  const half = Math.max(box[2] - box[0], box[3] - box[1]) / 2;
  const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  return { box: [x - half, y - half, x + half, y + half], score };
}

// The faces, surest first, that overlap no surer one by more than `most` of their union, or of the smaller of both.
function suppress(faces, most, ofSmaller = false) {
  const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
  const kept = [];
  for (const face of [...faces].sort((a, b) => b.score - a.score)) {
    const free = kept.every((other) => {
      const width = Math.min(face.box[2], other.box[2]) - Math.max(face.box[0], other.box[0]);
      const height = Math.min(face.box[3], other.box[3]) - Math.max(face.box[1], other.box[1]);
      const shared = Math.max(0, width) * Math.max(0, height);
      const whole = ofSmaller ? Math.min(area(face), area(other)) : area(face) + area(other) - shared;
      return shared <= most * whole;
    });
    if (free) kept.push(face);
  }
  return kept;
}
