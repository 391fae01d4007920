// A WebSocket to the server. Messages are a JSON header and bytes; see messages.py.

const RETRY = [250, 500, 1000, 2000, 4000];

function packed(header, data) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const message = new Uint8Array(4 + text.length + (data ? data.length : 0));
  new DataView(message.buffer).setUint32(0, text.length, true);
  message.set(text, 4);
  if (data) message.set(data, 4 + text.length);
  return message;
}

function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  // A copy, because arrays of floating-point numbers must be aligned.
  return { ...header, data: buffer.slice(4 + length) };
}

// Computes one thing after another for each kind of question: of the questions that wait, only the last is asked.
export class Connection extends EventTarget {
  #socket = null;
  #number = 0;
  #failures = 0;
  #asked = new Map();
  #waiting = new Map();

  constructor() {
    super();
    this.#connect();
  }

  // The answer to a question; `null` if a later one has replaced it.
  ask(kind, header = {}, data = null) {
    return new Promise((resolve, reject) => {
      const question = { header: { ...header, do: kind }, data, resolve, reject };
      this.#waiting.get(kind)?.resolve(null);
      this.#waiting.set(kind, question);
      this.#next(kind);
    });
  }

  #connect() {
    this.#socket = new WebSocket(`ws://${location.host}/socket`);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      this.#failures = 0;
      this.#tell("open");
      for (const kind of [...this.#waiting.keys()]) this.#next(kind);
    };
    this.#socket.onmessage = (event) => this.#answered(unpacked(event.data));
    this.#socket.onclose = (event) => {
      for (const question of this.#asked.values()) question.reject(new Error(event.reason || "The connection was lost."));
      this.#asked.clear();
      this.#tell("closed");
      setTimeout(() => this.#connect(), RETRY[Math.min(this.#failures++, RETRY.length - 1)]);
    };
  }

  #next(kind) {
    const question = this.#waiting.get(kind);
    if (!question || this.#asked.has(kind) || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#waiting.delete(kind);
    question.id = ++this.#number;
    this.#asked.set(kind, question);
    this.#socket.send(packed({ ...question.header, id: question.id }, question.data));
  }

  #answered(answer) {
    for (const [kind, question] of this.#asked) {
      if (question.id !== answer.id) continue;
      this.#asked.delete(kind);
      if (answer.error) question.reject(new Error(answer.error));
      else question.resolve(answer);
      this.#next(kind);
    }
  }

  #tell(state) {
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
