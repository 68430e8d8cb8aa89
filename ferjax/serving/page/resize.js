// Pixels as the networks take them: cut out, made gray and scaled as Pillow does it on the server.

// The pixels of a picture as 8-bit red, green, blue and opacity, upright, on white.
export async function decode(file) {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

const clamp = (value, high) => Math.min(Math.max(value, 0), high);

// A box, x, y, width and height in whole pixels, as planes of levels: one gray plane, or red, green and blue.
// Beyond the picture its nearest edge goes on, or all is black.
export function cut(image, [left, top, width, height], { gray = false, black = false } = {}) {
  const planes = Array.from({ length: gray ? 1 : 3 }, () => new Float32Array(width * height));
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to++) {
      const [column, row] = [left + x, top + y];
      if (black && (column < 0 || row < 0 || column >= image.width || row >= image.height)) continue;
      const from = 4 * (clamp(row, image.height - 1) * image.width + clamp(column, image.width - 1));
      const [red, green, blue] = [image.data[from], image.data[from + 1], image.data[from + 2]];
      if (gray) {
        planes[0][to] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
      } else {
        planes[0][to] = red;
        planes[1][to] = green;
        planes[2][to] = blue;
      }
    }
  }
  return { planes, width, height };
}

const FILTERS = {
  bilinear: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  box: { support: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
};

// For each place of a scaled line: where it begins in the line that it comes from, and the weights from there on.
function weigh(from, to, { support, weigh }) {
  const scale = from / to;
  const wide = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support * wide + 0.5));
    const last = Math.min(from, Math.floor(centre + support * wide + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) => weigh((first + k - centre + 0.5) / wide));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

const round = (value) => clamp(Math.floor(value + 0.5), 255);

// Pillow's resize with a filter that is widened where the picture is made smaller; whole levels after each direction.
export function resize({ planes, width, height }, toWidth, toHeight, filter = "bilinear") {
  if (width === toWidth && height === toHeight) return { planes, width, height };
  const columns = weigh(width, toWidth, FILTERS[filter]);
  const rows = weigh(height, toHeight, FILTERS[filter]);
  const scaled = planes.map((plane) => {
    const half = new Float32Array(toWidth * height);
    for (let y = 0; y < height; y++) {
      columns.forEach(({ first, weights }, x) => {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * plane[y * width + first + k];
        half[y * toWidth + x] = round(sum);
      });
    }
    const whole = new Float32Array(toWidth * toHeight);
    rows.forEach(({ first, weights }, y) => {
      for (let x = 0; x < toWidth; x++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * half[(first + k) * toWidth + x];
        whole[y * toWidth + x] = round(sum);
      }
    });
    return whole;
  });
  return { planes: scaled, width: toWidth, height: toHeight };
}
