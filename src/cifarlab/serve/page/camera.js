// A photograph with the computer's own camera. A phone does it better by a file input's `capture`.

const REASONS = {
  NotAllowedError: "The browser may not use the camera. Allow it, or choose a picture.",
  NotFoundError: "There is no camera on this machine. Choose a picture instead.",
};

/** Whether this browser can: cameras are for secure pages only, of which localhost is one. */
export const available = Boolean(navigator.mediaDevices?.getUserMedia);

/** Opens the viewfinder. Resolves to a JPEG file, or to null when it was closed; throws an Error. */
export async function photograph(dialog) {
  const stream = await open();
  const video = dialog.querySelector("video");
  video.srcObject = stream;
  dialog.showModal();
  try {
    return (await decision(dialog)) ? await still(video) : null;
  } finally {
    dialog.close();
    video.srcObject = null;
    for (const track of stream.getTracks()) track.stop();
  }
}

async function open() {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The camera cannot be opened: ${error.message}`);
  }
}

/** Whether the picture is to be taken; Escape says no. */
function decision(dialog) {
  return new Promise((resolve) => {
    dialog.querySelector(".take").onclick = () => resolve(true);
    dialog.querySelector(".close").onclick = () => resolve(false);
    dialog.onclose = () => resolve(false);
  });
}

async function still(video) {
  if (!video.videoWidth) await new Promise((ready) => video.addEventListener("loadeddata", ready));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return new File([blob], "photograph.jpg", { type: blob.type });
}
