// One picture: what was given, what the model saw of it, and its answer.

import { predict } from "./server.js";

const SHOWN = 5; // bars; the other classes open at a click

/** A class's name as people write it. */
export const words = (name) => name.replaceAll("_", " ");

/** A probability in percent, which is never rounded to certainty. */
export function percent(p) {
  if (p > 0.9995) return "over 99.9 %";
  return p < 0.0005 ? "under 0.1 %" : `${(100 * p).toFixed(1)} %`;
}

export class Card {
  #controller = new AbortController();
  #address;
  #explaining = false;

  /** `element` is a copy of the template; `onSettled(card)` is called at each answer or refusal. */
  constructor(file, element, onSettled) {
    Object.assign(this, { file, element, onSettled, outcome: null });
    this.#address = URL.createObjectURL(file);
    this.#part(".file").textContent = file.name;
    this.#part("article").setAttribute("aria-label", file.name);
    this.#part(".remove").setAttribute("aria-label", `Remove ${file.name}`);
    const picture = this.#part(".given img");
    picture.alt = `your picture ${file.name}`;
    picture.onerror = () => {
      this.#part(".given").hidden = true; // a TIFF, say: only the server can show it
    };
    picture.src = this.#address;
    this.#part(".again").onclick = () => this.ask();
    this.#part(".why").onclick = () => this.#toggleWhy();
    this.#part(".blend input").oninput = () => this.#blend();
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }

  /** Asks the server, and shows what it says. */
  async ask() {
    this.outcome = null;
    this.#part(".again").hidden = true;
    this.#say("Waiting…", "");
    this.element.className = "busy";
    this.#part(".answer").setAttribute("aria-busy", "true");
    try {
      this.#show(await this.#predict(false, (text) => this.#remark(text)));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.refuse(error.message, error.again);
    }
  }

  /** The server's answer; `tell` is given the words for the meantime. */
  #predict(explain, tell) {
    return predict(this.file, {
      explain,
      signal: this.#controller.signal,
      onAsk: () => tell(explain ? "Looking closer…" : ""),
      onWait: (seconds) => tell(`The server is busy; it is asked again in ${Math.ceil(seconds)} s.`),
    });
  }

  /** Says why there is no answer. */
  refuse(reason, again = false) {
    this.#say("No answer", reason);
    this.#part(".again").hidden = !again;
    this.#settle("refused", `no answer. ${reason}`);
  }

  #show(answer) {
    const label = words(answer.label);
    const ranked = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
    if (answer.known) this.#say(label, `${percent(answer.probability)} sure`);
    else
      this.#say(
        "Probably none of these",
        `The closest is ${label}, but the model is less sure than it is of pictures of its classes.`,
      );
    this.#bars(this.#part(".bars"), ranked.slice(0, SHOWN));
    this.#bars(this.#part(".rest .bars"), ranked.slice(SHOWN));
    this.#part(".rest").hidden = ranked.length <= SHOWN;
    this.#part(".rest summary").textContent = `${ranked.length - SHOWN} more`;
    this.#showViews(answer);
    this.#part(".why").hidden = false;
    this.label = label;
    const said = answer.known ? `${label}, ${percent(answer.probability)}` : "probably none of these";
    this.#settle(answer.known ? "known" : "unknown", said);
  }

  /** What the model saw: one view, or several whose probabilities it averaged. */
  #showViews(answer) {
    const { view: views, scaling: scalings } = answer;
    const view = this.#part(".view");
    view.src = views[0];
    view.alt = `the picture as the model sees it, ${view.width} by ${view.height} pixels`;
    const further = views.slice(1).map((src, i) =>
      Object.assign(new Image(), { src, alt: `another view: ${scalings[i + 1]}`, title: scalings[i + 1] }),
    );
    this.#part(".further").replaceChildren(...further);
    const mean = further.length ? `. The answer is the mean over this and ${further.length} more:` : "";
    this.#part(".seen figcaption").textContent = `as the model saw it: ${scalings[0]}${mean}`;
    this.#part(".seen").hidden = false;
  }

  #bars(list, ranked) {
    const template = document.getElementById("bar").content;
    list.replaceChildren(
      ...ranked.map(([name, p]) => {
        const bar = template.cloneNode(true);
        bar.querySelector(".name").textContent = words(name);
        bar.querySelector("i").style.width = `${100 * p}%`; // the policy allows it from a script
        bar.querySelector(".figure").textContent = percent(p);
        return bar;
      }),
    );
  }

  /** Shows or hides the explanation; it is asked for when first wanted, because it takes long. */
  async #toggleWhy() {
    const [button, overlay, legend] = [".why", ".overlay", ".legend"].map((each) => this.#part(each));
    const wanted = () => button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!wanted()));
    legend.hidden = !wanted();
    if (wanted() && !overlay.src && !this.#explaining) await this.#explain(overlay, legend);
    overlay.hidden = this.#part(".blend").hidden = !(wanted() && overlay.src);
  }

  async #explain(overlay, legend) {
    this.#explaining = true;
    try {
      const { explanation } = await this.#predict(true, (text) => (legend.textContent = text));
      if (!explanation) throw new Error("This model cannot say.");
      overlay.src = explanation;
      overlay.alt = `overlay: orange where the picture speaks for ${this.label}, blue against it`;
      legend.textContent = `Orange speaks for ${this.label}, blue against it.`;
      this.#blend();
    } catch (error) {
      if (error.name !== "AbortError") legend.textContent = error.message;
      this.#part(".why").setAttribute("aria-pressed", "false");
    } finally {
      this.#explaining = false;
    }
  }

  #blend() {
    this.#part(".overlay").style.opacity = this.#part(".blend input").value / 100;
  }

  #say(heading, remark) {
    this.#part("h3").textContent = heading;
    this.#remark(remark);
  }

  #remark(text) {
    this.#part(".remark").textContent = text;
  }

  #settle(outcome, said) {
    this.outcome = outcome;
    this.said = said;
    this.element.className = outcome;
    this.#part(".answer").setAttribute("aria-busy", "false");
    this.onSettled(this);
  }

  /** Takes the card away, stops what is under way for it, and forgets the picture. */
  remove() {
    this.#controller.abort();
    URL.revokeObjectURL(this.#address);
    this.element.remove();
  }
}
