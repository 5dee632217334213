// Answers wait here until the server has said that it keeps them, over reloads and its death.
// One item of the browser's storage each, so that two windows never overwrite each other's.

export class Outbox {
  #prefix;
  #refusals;
  #latest = 0;
  #fleeting = new Map(); // where the browser keeps nothing

  constructor(place) {
    this.#prefix = `leaven.unsent.${place}.`;
    this.#refusals = `leaven.refused.${place}.`;
  }

  get isFleeting() {
    return this.#fleeting.size > 0;
  }

  // What waits, in the order in which it was said: [{id, path, body}].
  entries() {
    return this.#list(this.#prefix);
  }

  // Tasks whose answers wait and have not been taken back since.
  tasks() {
    const said = new Set();
    for (const { path, body } of this.entries()) {
      if (path === "/answer" || path === "/again") said.add(body.task);
      if (path === "/undo") said.delete(body.task);
    }
    return said;
  }

  add(path, body) {
    this.#latest = Math.max(this.#latest + 1, Date.now());
    this.#put(`${this.#prefix}${String(this.#latest).padStart(15, "0")}.${word()}`, { path, body });
  }

  remove(id) {
    this.#fleeting.delete(id);
    try {
      localStorage.removeItem(id);
    } catch {
      // what cannot be kept need not be removed
    }
  }

  // What the server will never take is told to the person, not dropped without a word.
  refuse(entry, sentence) {
    this.#put(`${this.#refusals}${word()}`, { sentence });
    this.remove(entry.id);
  }

  refusals() {
    return this.#list(this.#refusals);
  }

  #put(id, told) {
    try {
      localStorage.setItem(id, JSON.stringify(told));
    } catch {
      this.#fleeting.set(id, told);
    }
  }

  #list(prefix) {
    const found = new Map([...this.#fleeting].filter(([id]) => id.startsWith(prefix)));
    try {
      for (let i = 0; i < localStorage.length; i++) {
        const id = localStorage.key(i);
        if (!id.startsWith(prefix)) continue;
        try {
          found.set(id, JSON.parse(localStorage.getItem(id)));
        } catch {
          localStorage.removeItem(id);
        }
      }
    } catch {
      // the fleeting ones are all there are
    }
    return [...found]
      .filter(([, told]) => told)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, told]) => ({ id, ...told }));
  }
}

// A word that nobody else has; `crypto.randomUUID` is missing where the host is not this machine.
export function word() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
