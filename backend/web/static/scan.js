// Reading a QR with the camera: the browser's own reader where there is one, else jsQR.
//
// <div data-scan="name"> puts what it read into the form's control of that name, and sends the
// form. A camera needs HTTPS or this very machine; the code can always be typed instead.
import { fetched } from "./app.js";

const zh = document.documentElement.lang.startsWith("zh");
const t = (inChinese, inEnglish) => (zh ? inChinese : inEnglish);
const EVERY_MS = 150;
const JSQR = "jsqr.js";

async function readerOf() {
  if ("BarcodeDetector" in globalThis && (await BarcodeDetector.getSupportedFormats()).includes("qr_code")) {
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    return async (canvas) => (await detector.detect(canvas))[0]?.rawValue;
  }
  if (!globalThis.jsQR) await fetched(JSQR);
  return async (canvas, pen) => {
    const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
    return globalThis.jsQR(picture.data, picture.width, picture.height, { inversionAttempts: "dontInvert" })?.data;
  };
}

function scanning(element) {
  const form = element.closest("form");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet wide";
  button.textContent = t("打開相機掃碼", "Scan with the camera");
  const said = document.createElement("p");
  said.className = "hint";
  said.role = "status";
  element.append(button, said);
  if (!navigator.mediaDevices?.getUserMedia) {
    button.hidden = true;
    said.textContent = t("此頁面不能使用相機。請用手機相機掃碼，或輸入代碼。", "This page cannot use a camera here. Scan with your phone's own, or type the code.");
    return;
  }
  // What works without a connection has its reader here before.
  if (form.hasAttribute("data-queue") && !("BarcodeDetector" in globalThis)) fetch(new URL(`./vendor/${JSQR}`, import.meta.url)).catch(() => {});
  let stream = null;
  let video = null;
  let isStarting = false;
  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video?.remove();
    button.textContent = t("打開相機掃碼", "Scan with the camera");
  }
  async function start() {
    if (isStarting) return;
    isStarting = true;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      await film();
    } catch {
      stop();
      said.textContent = t("無法使用相機。請允許使用，或輸入代碼。", "The camera may not be used. Allow it, or type the code.");
    } finally {
      isStarting = false;
    }
  }
  async function film() {
    button.textContent = t("關閉相機", "Close the camera");
    said.textContent = t("把二維碼放在畫面中間", "Hold the QR in the middle");
    video = document.createElement("video");
    video.playsInline = true;
    video.muted = true;
    video.srcObject = stream;
    element.prepend(video);
    await video.play();
    const read = await readerOf();
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    while (stream && element.isConnected) {
      if (video.videoWidth) {
        const scale = Math.min(1, 640 / video.videoWidth);
        canvas.width = video.videoWidth * scale;
        canvas.height = video.videoHeight * scale;
        pen.drawImage(video, 0, 0, canvas.width, canvas.height);
        const text = await read(canvas, pen);
        if (text) {
          stop();
          navigator.vibrate?.(80);
          form.elements[element.dataset.scan].value = text;
          form.requestSubmit();
          said.textContent = "";
          return;
        }
      }
      await new Promise((go) => setTimeout(go, EVERY_MS));
    }
    stop();
  }
  button.addEventListener("click", () => (stream ? stop() : start()));
}

function begin() {
  for (const element of document.querySelectorAll("[data-scan]")) {
    if (!element.childElementCount) scanning(element);
  }
}
begin();
document.addEventListener("htmx:after:swap", begin);
