// Search in pages that are opened from the disk, where browsers start no worker: the worker's script
// runs in a hidden frame instead. Pages from a server have workers and leave this alone.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.document.open();
      // What the script posts goes to the page, what the page posts comes in as a worker gets it.
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = inside.document.createElement("script");
      script.src = new URL(url, document.baseURI).href;
      const loaded = new Promise((resolve) => script.addEventListener("load", resolve));
      inside.document.write("<!doctype html>");
      inside.document.close();
      inside.document.documentElement.append(script);
      this.postMessage = async (data) => {
        await loaded;
        inside.dispatchEvent(new inside.MessageEvent("message", { data }));
      };
    }
  };
}
