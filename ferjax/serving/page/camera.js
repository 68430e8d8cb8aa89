// The camera: its picture is answered again and again, as fast as answers come, and nothing of it is kept unasked.
import { drawBoxes, drawFace, listFaces } from "./drawing.js";

const byId = (id) => document.getElementById(id);
const SIDE_PX = 640;
const WAIT_MS = 30;

let stream = null;

export async function openCamera({ ask, keep, say, wishes }) {
  if (stream) return;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: SIDE_PX }, facingMode: "user" } });
  } catch (error) {
    say(window.isSecureContext ? `The camera cannot be used (${error.message}).` : "A browser opens its camera only for localhost and https.", true);
    return;
  }
  const video = byId("video");
  const ended = new AbortController();
  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    byId("camera").hidden = true;
    byId("video-boxes").replaceChildren();
    byId("video-faces").replaceChildren();
    ended.abort();
    say("The camera is off.");
    byId("camera-ask").focus();
  };
  byId("camera-stop").addEventListener("click", stop, { signal: ended.signal });
  stream.getVideoTracks()[0].addEventListener("ended", stop, { signal: ended.signal });
  video.srcObject = stream;
  byId("camera").hidden = false;
  await video.play();
  say("The camera is on.");
  byId("camera-stop").focus();
  let last = null;
  byId("camera-keep").addEventListener(
    "click",
    () => {
      if (last) keep(last.file, last.picture, last.classes, last.wishes);
    },
    { signal: ended.signal },
  );
  while (stream) {
    try {
      const file = await takePicture(video);
      const wished = wishes();
      const { pictures, classes } = await ask(file, wished);
      if (!stream) break;
      last = { file, picture: pictures[0], classes, wishes: wished };
      show(pictures[0], classes);
    } catch (error) {
      if (stream) say(error.message, true);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
}

function show(picture, classes) {
  drawBoxes(byId("video-boxes"), picture);
  const faces = listFaces(picture);
  byId("video-faces").replaceChildren(...faces.map((row, i) => drawFace(row, classes, i + 1)));
  if (!faces.length) byId("video-faces").textContent = "No face was found.";
}

async function takePicture(video) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  return new File([blob], `camera ${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.jpg`, { type: blob.type });
}
