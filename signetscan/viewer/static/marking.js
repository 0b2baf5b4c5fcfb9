// Sends a reviewer's changes to the server, in the order in which they were made.
//
// Judgements are shown at once, and those that are made while an answer is awaited are sent together with the next
// request, so that no reviewer is faster than the disk. An addition or an undo waits for its answer.

import { Cells } from "./cells.js";
import { $, fetched, posted, say } from "./page.js";

// The facts, detections and marks of a slide from the server; options as those of Marking.
export async function loadedSlide(options) {
  const replies = await Promise.all(["slide.json", "detections.bin"].map(fetched));
  const facts = await replies[0].json();
  const cells = new Cells(facts.detections, facts.classes.length, await replies[1].arrayBuffer());
  const marking = new Marking(facts, cells, options);
  await marking.load();
  return { facts, cells, marking };
}

export class Marking {
  #waiting = []; // changes, with whether they go alone, and what takes the answer
  #isSending = false;

  // changed(): called when marks have changed; panel: the element that is busy while changes are sent.
  constructor(facts, cells, { changed, panel }) {
    this.facts = facts;
    this.cells = cells;
    this.session = facts.session;
    this.changed = changed;
    this.panel = panel;
    this.canUndo = false;
  }

  async load() {
    const { marks, can_undo: canUndo } = await (await fetched("marks.json")).json();
    this.cells.clearMarks();
    for (const mark of marks) this.cells.setMark(mark.number, mark);
    this.canUndo = canUndo;
  }

  // Begins anew with what the server has now: the slide was closed meanwhile, or somebody else reviews.
  async #reload() {
    this.facts = await (await fetched("slide.json")).json();
    this.session = this.facts.session;
    await this.load();
  }

  // Accepts, rejects or clears boxes, which shows at once.
  judge(action, numbers) {
    for (const number of numbers) this.cells.setMark(number, this.#judged(action, number));
    this.canUndo = true;
    this.#send(numbers.length > 1 ? { action, numbers } : { action, number: numbers[0] }, false);
    this.changed();
  }

  #judged(action, number) {
    if (action === "clear" || (action === "reject" && number >= this.cells.count)) return null;
    const { cells } = this;
    const verdict = action === "accept" ? "accepted" : "rejected";
    return { verdict, box: [...cells.box(number)], label: cells.label(number), score: cells.score(number) };
  }

  // Makes another change. Returns the answer, or null if there was none.
  change(change) {
    return this.#send(change, true);
  }

  // Sends what could not be sent, or saves again.
  async save() {
    if (this.#waiting.length || this.#isSending) return this.#run();
    this.#setSending(true);
    try {
      this.#taken(await posted("save", { session: this.session }));
    } catch (error) {
      await this.#failed(error);
    }
    this.#setSending(false);
    if (this.#waiting.length) await this.#run();
  }

  #send(change, alone) {
    return new Promise((answered) => {
      this.#waiting.push({ change, alone, answered });
      this.#run();
    });
  }

  async #run() {
    if (this.#isSending) return;
    this.#setSending(true);
    while (this.#waiting.length) {
      const some = this.#waiting.splice(0, this.#together());
      try {
        const changes = some.map(({ change }) => change);
        const answer = await posted("marks", { session: this.session, changes });
        this.#taken(answer);
        for (const { answered } of some) answered(answer);
      } catch (error) {
        for (const { answered } of some) answered(null);
        // Without a connection judgements wait for it; what was refused is shown no longer.
        if (error instanceof TypeError) this.#waiting.unshift(...some.filter(({ alone }) => !alone));
        await this.#failed(error);
        break;
      }
    }
    this.#setSending(false);
  }

  #setSending(isSending) {
    this.#isSending = isSending;
    this.panel.setAttribute("aria-busy", String(isSending));
  }

  // How many of the waiting changes can be sent together.
  #together() {
    const firstAlone = this.#waiting.slice(0, 100).findIndex(({ alone }) => alone);
    return firstAlone < 0 ? 100 : Math.max(firstAlone, 1);
  }

  #taken(answer) {
    const waiting = new Set(this.#waiting.flatMap(({ change }) => change.numbers ?? [change.number]));
    for (const { number, mark } of [...answer.changed, ...answer.others]) {
      if (!waiting.has(number)) this.cells.setMark(number, mark);
    }
    this.canUndo = answer.can_undo || this.#waiting.length > 0;
    const time = new Date().toLocaleTimeString();
    $("saved").textContent = answer.problem ? `Not saved: ${answer.problem}` : `Saved to ${this.facts.file} at ${time}.`;
    $("saved").className = answer.problem ? "bad" : "";
    if (answer.problem) say("The marks are not saved: the line below says why. Press s to try again.", true);
    else if (answer.disputed.length) say("Somebody else has judged this otherwise meanwhile: look again.", true);
    else if (answer.others.length) {
      say(`Somebody else has changed the file: ${answer.others.length} of their marks are shown now.`, true);
    } else if ($("message").className === "bad") say("");
    this.changed();
  }

  async #failed(error) {
    const isOffline = error instanceof TypeError; // what fetch throws without a connection
    const text = isOffline
      ? "Not saved: signetscan view has ended. Start it again."
      : `The change failed: ${error.message}`;
    if (!isOffline) {
      for (const { answered } of this.#waiting.splice(0)) answered(null);
      await this.#reload().catch(() => {});
    }
    $("saved").textContent = text;
    $("saved").className = "bad";
    say(text, true);
    this.changed();
  }
}
