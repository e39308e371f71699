/**
 * The viewer: one film with the answers of several models, or two films side by side.
 *
 * @import { Film, Reading, ViewerData } from "./data.js"
 * @import { Settings } from "./settings.js"
 * @import { Tool } from "./gestures.js"
 */
import { paintBar } from "./colour.js";
import { listen as listenToControls, sync } from "./controls.js";
import { colourTable, mapLevels } from "./data.js";
import { listen as listenToGestures } from "./gestures.js";
import { listen as listenToKeys } from "./keys.js";
import { Levels } from "./levels.js";
import { named, Pane } from "./pane.js";
import { listenToSheet, onFullScreen } from "./screen.js";
import { load, save } from "./settings.js";
import { View } from "./view.js";

/** @type {Record<Tool, string>} */
const TOOLS = {
  move: gettext("a drag moves the film"),
  window: gettext("a drag sets brightness and contrast"),
  length: gettext("length: set two points"),
  angle: gettext("angle: set three points, the corner second"),
};

export class Viewer {
  view = new View();
  settings = load();
  /** @type {Tool} */
  tool = "move";
  sideBySide = false;
  /** Of the window, loaded when it is first set. @type {Promise<void> | null} */
  panel = null;
  /** Number of the knee that is shown; -1 for the film. */
  knee = -1;
  /** @type {Pane[]} */
  panes = [];

  /**
   * @param {HTMLElement} root holds the stage and the controls
   * @param {ViewerData[]} films
   */
  constructor(root, films) {
    this.root = root;
    this.films = films;
    this.stage = this.find("#stage");
    this.levels = new Levels(() => this.panes, films.length === 1 ? films[0].film.valuesUrl : undefined);
    const first = films.flatMap((data) => data.models)[0];
    this.model = first?.model ?? "";
    this.label = first?.label ?? "";
    if (!films[0].colourMaps[this.settings.colours]) this.settings.colours = Object.keys(films[0].colourMaps)[0];
    listenToGestures(this.stage, () => this.panes, this.view, this.levels, () => this.tool);
    listenToKeys(root, this);
    listenToControls(root, this);
    listenToSheet(this.find("#sheet"));
    onFullScreen(root, (full) => this.say(full ? gettext("full screen, Escape leaves it") : gettext("full screen is left")));
    this.view.addEventListener("change", () => this.showState());
    this.render();
    // The other classes and models come while the film is being looked at.
    const classes = films.flatMap((data) => data.models).flatMap((reading) => reading.classes);
    setTimeout(() => classes.forEach(({ map }) => map && mapLevels(map.url).catch(console.warn)), 200);
  }

  /** The answer of the chosen model, for the first film that has one. */
  get answer() {
    return this.films.flatMap((data) => data.models).find((one) => one.model === this.model);
  }

  /** The classes of the chosen model: models may answer different questions. */
  get labels() {
    return this.answer?.classes.map((one) => one.label) ?? [];
  }

  /** Keys act from the start; the ring is for those who come here by key. */
  takeKeys() {
    const quietly = /** @type {FocusOptions} */ ({ preventScroll: true, focusVisible: false });
    this.stage.focus(quietly);
  }

  /** @param {Partial<Settings>} changed */
  change(changed) {
    const redraw = "threshold" in changed || "colours" in changed;
    Object.assign(this.settings, changed);
    this.settings.opacity = Math.min(1, Math.max(0, this.settings.opacity));
    save(this.settings);
    if (redraw) this.render();
    else this.shade();
  }

  toggleMap() {
    this.change({ mapOn: !this.settings.mapOn });
    this.say(this.settings.mapOn ? gettext("heat map on") : gettext("heat map off"));
  }

  /** @param {Tool} tool that is put away again if it is in hand */
  pickTool(tool) {
    this.tool = this.tool === tool ? "move" : tool;
    this.stage.classList.toggle("windowing", this.tool === "window");
    this.stage.dispatchEvent(new Event("tool"));
    if (this.tool === "window") this.panel ??= import("./window.js").then(({ listen }) => listen(this.find("#window-panel"), this));
    sync(this.root, this);
    this.showState();
    this.say(TOOLS[this.tool]);
  }

  turn() {
    this.view.turn();
    this.say(this.view.words || gettext("the film stands as it came"));
  }

  mirror() {
    this.view.mirror();
    this.say(this.view.words || gettext("the film stands as it came"));
  }

  toggleSideBySide() {
    if (this.films.length > 1 || this.films[0].models.length < 2) return;
    this.sideBySide = !this.sideBySide;
    this.render();
    this.say(this.sideBySide ? gettext("all models side by side") : interpolate(gettext("model %(name)s"), { name: this.model }, true));
  }

  /** @param {number} step to the next model or, with -1, the one before */
  stepModel(step) {
    const models = [...new Set(this.films.flatMap((data) => data.models).map((one) => one.model))];
    const place = (models.indexOf(this.model) + step + models.length) % models.length;
    if (models.length > 1) this.pickModel(models[place]);
  }

  /** @param {string | undefined} label */
  pickLabel(label) {
    if (!label) return;
    this.label = label;
    this.render();
    this.say(interpolate(gettext("heat map for %(label)s"), { label: named(label) }, true));
  }

  /** @param {string} model */
  pickModel(model) {
    this.model = model;
    this.label = this.labelOf(this.answer);
    if (!this.answer?.knees?.[this.knee]) this.knee = -1;
    this.render();
    this.say(interpolate(gettext("model %(name)s"), { name: model }, true));
  }

  /** @param {number} number of a knee, or -1 for the film */
  pickKnee(number) {
    this.knee = number;
    this.render();
    const knee = this.slots()[0].reading?.knees?.[number];
    if (knee) this.panes[0].zoomTo(knee.box);
    else this.view.fit();
    this.say(knee ? knee.name : gettext("the whole film"));
  }

  /** Knee after knee, then the film again; the film where no knee is known. */
  nextKnee() {
    const knees = this.slots()[0].reading?.knees ?? [];
    this.pickKnee(this.knee + 1 < knees.length ? this.knee + 1 : -1);
    if (!knees.length) this.say(gettext("no knee is known on this film: the whole film"));
  }

  /** Place, turn, window and tool; measurements stay. */
  reset() {
    this.knee = -1;
    this.view.straighten();
    this.levels.reset();
    if (this.tool !== "move") this.pickTool(this.tool);
    this.render();
    this.say(gettext("the film as it came"));
  }

  /** What the eye could miss: a tool in hand, and a film that is not as it came. */
  showState() {
    const words = [this.view.words, this.tool === "move" ? "" : TOOLS[this.tool]].filter(Boolean).join(" · ");
    const badge = this.find("#stage-state");
    badge.textContent = words;
    badge.hidden = !words;
  }

  help() {
    const dialog = document.getElementById("keys");
    if (dialog instanceof HTMLDialogElement) dialog.showModal();
  }

  /** @returns {{film: Film, reading: Reading | undefined}[]} what each pane shows */
  slots() {
    const [{ film, models }] = this.films;
    if (this.sideBySide) return models.map((reading) => ({ film, reading }));
    return this.films.map((data) => ({ film: data.film, reading: data.models.find((one) => one.model === this.model) }));
  }

  /** @param {Reading | undefined} reading its map is of the chosen class, or of its own answer where it has no such class */
  labelOf(reading) {
    return reading && !reading.classes.some((one) => one.label === this.label) ? reading.label : this.label;
  }

  /** Bring panes, colour bar, figures and controls to the present choice. */
  render() {
    const slots = this.slots();
    const table = colourTable(this.films[0].colourMaps[this.settings.colours]);
    slots.forEach(({ film, reading }, i) => {
      this.panes[i] ??= new Pane(this.paneElement(i), film, this.view);
      this.panes[i].show(reading, this.labelOf(reading), table, this.settings.threshold, this.knee).catch((error) => {
        console.error(error);
        this.panes[i].caption.textContent = gettext("The heat map could not be loaded. Reload the page to try again.");
      });
    });
    this.panes.forEach((pane, i) => (pane.root.hidden = i >= slots.length));
    this.stage.dataset.panes = String(slots.length);
    const bar = this.root.querySelector("#bar");
    if (bar instanceof HTMLCanvasElement) paintBar(bar, table, this.settings.threshold);
    document.querySelectorAll("[data-figures]").forEach((figures) => {
      if (figures instanceof HTMLElement) figures.hidden = figures.dataset.figures !== this.model;
    });
    this.levels.apply();
    this.shade();
  }

  /** Opacity and whether there is a map at all: nothing is drawn. */
  shade() {
    const { opacity, mapOn } = this.settings;
    for (const pane of this.panes) {
      pane.shade(opacity);
      pane.canvas.style.visibility = mapOn ? "" : "hidden";
    }
    sync(this.root, this);
    this.root.dispatchEvent(new Event("shown"));
  }

  /**
   * The pane's element: the page has the first ones, further ones are copies.
   *
   * @param {number} index
   */
  paneElement(index) {
    const there = this.stage.querySelectorAll(".pane");
    if (there[index] instanceof HTMLElement) return there[index];
    const copy = /** @type {HTMLElement} */ (there[0].cloneNode(true));
    there[there.length - 1].after(copy);
    return copy;
  }

  /** @param {string} text for people who listen to the page */
  say(text) {
    this.find("#said").textContent = text;
  }

  /**
   * @param {string} selector
   * @returns {HTMLElement}
   */
  find(selector) {
    const found = this.root.querySelector(selector);
    if (!(found instanceof HTMLElement)) throw new Error(`the viewer has no ${selector}`);
    return found;
  }
}
