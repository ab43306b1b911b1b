// The one conversation with the server: a picture in; an answer, or a sentence why not, out.

const AT_ONCE = 4; // requests; the other pictures wait here, not in the server's queue
const ATTEMPTS = { answer: 8, explanation: 3 }; // at a busy server; an explanation is much work
const LONGEST_WAIT = 30; // seconds, whatever the server says

/** Why there is no answer, as people read it; `again` when the same question may go better. */
export class Refusal extends Error {
  constructor(message, again = false) {
    super(message);
    this.again = again;
  }
}

/**
 * The server's prediction for a file: label, probability, probabilities, known, view, …
 *
 * A busy server (503) is asked again when its Retry-After has passed; `onWait(seconds)` is told,
 * and `onAsk()` whenever a request leaves. Throws a Refusal, or an AbortError by `signal`.
 */
export function predict(file, { explain = false, signal, onWait = () => {}, onAsk = () => {} }) {
  return inTurn(async () => {
    const attempts = explain ? ATTEMPTS.explanation : ATTEMPTS.answer;
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      onAsk();
      const response = await ask(file, explain, signal);
      if (response.status !== 503) return prediction(response);
      if (attempt === attempts) break;
      const seconds = retryAfter(response);
      onWait(seconds);
      await pause(seconds, signal);
    }
    throw new Refusal("The server is busy. Wait a little, then try again.", true);
  });
}

async function ask(file, explain, signal) {
  signal.throwIfAborted();
  const form = new FormData();
  form.append("images", file, file.name);
  const query = explain ? "view=true&explain=true" : "view=true";
  try {
    return await fetch(`v1/predict?${query}`, { method: "POST", body: form, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer. Is it still running?", true);
  }
}

async function prediction(response) {
  const body = await response.json().catch(() => ({}));
  const answer = body.predictions?.[0];
  if (answer?.error) throw new Refusal(sentence(answer.error)); // with whatever status
  if (response.ok && answer) return answer;
  const reason = typeof body.error === "string" ? body.error : `status ${response.status}`;
  throw new Refusal(sentence(`the server refused it: ${reason}`), response.status >= 500);
}

function sentence(reason) {
  return reason.charAt(0).toUpperCase() + reason.slice(1) + (/[.!?]$/.test(reason) ? "" : ".");
}

/** Seconds to wait; a little more than asked, each page its own, so that not all return at once. */
function retryAfter(response) {
  const asked = Number.parseFloat(response.headers.get("Retry-After") ?? "1");
  const seconds = Number.isFinite(asked) ? Math.max(asked, 0.1) : 1;
  return Math.min(seconds, LONGEST_WAIT) * (1 + Math.random() / 4);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}

let free = AT_ONCE;
const waiting = [];

/** Does `work` as soon as fewer than AT_ONCE others are at it, in the order of the calls. */
async function inTurn(work) {
  if (free > 0) free -= 1;
  else await new Promise((resolve) => waiting.push(resolve));
  try {
    return await work();
  } finally {
    if (waiting.length > 0) waiting.shift()();
    else free += 1;
  }
}
