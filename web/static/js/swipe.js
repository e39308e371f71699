/** Two films over each other, parted by a slider: the first is seen left of it, the second right of it. */

/**
 * @param {HTMLElement} root of the viewer; holds the stage, the switch and the slider
 * @param {(words: string) => void} say
 */
export function listen(root, say) {
  const stage = /** @type {HTMLElement} */ (root.querySelector("#stage"));
  const box = /** @type {HTMLInputElement} */ (root.querySelector("#swipe-on"));
  const slider = /** @type {HTMLInputElement} */ (root.querySelector("#swipe"));
  // It lies over the films, so that it is dragged where they part.
  stage.append(slider);

  const part = () => {
    stage.style.setProperty("--part", String(Number(slider.value) / 100));
    slider.setAttribute("aria-valuetext", interpolate(gettext("%(share)s percent of the first film"), { share: slider.value }, true));
  };
  const show = () => {
    stage.classList.toggle("swiping", box.checked);
    slider.hidden = !box.checked;
    part();
    if (box.checked) slider.focus({ preventScroll: true });
    say(box.checked ? gettext("one film over the other: the slider parts them") : gettext("side by side"));
  };
  slider.addEventListener("input", part);
  slider.addEventListener("pointerdown", (event) => event.stopPropagation());
  box.addEventListener("change", show);
  root.addEventListener("keydown", (event) => {
    if (event.key !== "s" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("select, textarea, dialog")) return;
    box.checked = !box.checked;
    show();
    if (!box.checked) stage.focus({ preventScroll: true });
  });
}
