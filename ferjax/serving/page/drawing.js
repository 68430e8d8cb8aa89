// Answers as elements: a picture with boxes over its faces, and for each face its label and bars.

export function create(name, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

const percent = (share) => `${Math.round(100 * share)} %`;

export function listFaces(picture) {
  return picture.rows.filter((row) => row.face !== null);
}

// Fills `place` with a box for each face of a picture; its size is that of the picture as it is shown.
export function drawBoxes(place, picture) {
  const faces = listFaces(picture);
  place.replaceChildren(
    ...faces.map((row) => {
      const word = create("b", { text: row.label + (row.status === "unsure" ? "?" : "") });
      const number = faces.length > 1 ? [create("i", { text: `${row.face + 1} ` })] : [];
      const box = create("div", { className: "box" }, create("span", {}, ...number, word));
      const share = (part, whole) => `${(100 * part) / whole}%`;
      box.style.left = share(row.x, picture.width);
      box.style.top = share(row.y, picture.height);
      box.style.width = share(row.width, picture.width);
      box.style.height = share(row.height, picture.height);
      // A label lies above its box where there is room, and ends with the box at the right edge.
      box.classList.toggle("above", row.y > 0.1 * picture.height);
      box.classList.toggle("to-left", row.x > 0.7 * picture.width);
      return box;
    }),
  );
}

export function drawFace(row, classes, number) {
  const heading = create("h4", { text: `Face ${number}: ${row.label}, ${percent(row.confidence)}` });
  const unsure = row.status === "unsure" ? [create("p", { className: "small unsure", text: "Unsure: answers like this are often wrong." })] : [];
  const lines = classes.map((name) => {
    const bar = create("div", { className: "bar" });
    bar.style.width = `${100 * row[`p_${name}`]}%`;
    bar.setAttribute("aria-hidden", "true");
    const line = create("tr", { className: name === row.label ? "best" : "" });
    const head = create("th", { text: name, scope: "row" });
    line.append(head, create("td", {}, bar), create("td", { text: percent(row[`p_${name}`]) }));
    return line;
  });
  const caption = create("caption", { className: "hidden", text: `Probabilities of face ${number}` });
  const bars = create("table", { className: "bars" }, caption, create("tbody", {}, ...lines));
  return create("li", { className: "face" }, heading, ...unsure, bars);
}

function showLooks(item, address, label) {
  const image = create("img", { src: address, alt: `Where the network looked for ${label}: the bright parts` });
  const caption = create("figcaption", { text: `What speaks for ${label} (Grad-CAM): yellow most` });
  item.append(create("figure", { className: "looked" }, image, caption));
}

// `explain` gives the addresses of the overlays of all faces of the picture.
export function drawPicture(file, picture, classes, explain) {
  const faces = listFaces(picture);
  const image = create("img", { src: URL.createObjectURL(file), alt: `${picture.source}, with ${faces.length} found faces` });
  const boxes = create("div", { className: "boxes" });
  boxes.setAttribute("aria-hidden", "true");
  const place = create("div", { className: "picture" }, image, boxes);
  image.addEventListener("error", () => {
    place.replaceChildren(create("p", { className: "small", text: "This browser cannot show the picture." }));
  });
  drawBoxes(boxes, picture);
  const items = faces.map((row, i) => drawFace(row, classes, i + 1));
  const side = create("div", {}, create("ol", { className: "faces" }, ...items));
  if (!faces.length) {
    const row = picture.rows[0];
    const text = row.status === "no_face" ? "No face was found." : `No answer: ${row.reason}`;
    side.append(create("p", { className: row.status === "no_face" ? "" : "bad", text }));
  } else if (explain) {
    side.append(createButton(items, faces, explain));
  }
  return create("article", {}, create("h3", { text: picture.source }), place, side);
}

function createButton(items, faces, explain) {
  const button = create("button", { type: "button", text: "Show where the network looked" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const looks = await explain();
      items.forEach((item, i) => showLooks(item, looks[i], faces[i].label));
      button.remove();
    } catch (error) {
      button.after(create("p", { className: "bad", role: "alert", text: error.message }));
      button.disabled = false;
    }
  });
  return button;
}
