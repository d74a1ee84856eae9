"use strict";
// Two comforts; the page is whole without them: the values under the pointer, and curves that can be switched off.

for (const figure of document.querySelectorAll("figure.chart[data-low]")) {
  const low = Number(figure.dataset.low), high = Number(figure.dataset.high);
  const numbers = (text) => text.split(" ").map(Number);
  const lines = [...figure.querySelectorAll(".legend button")].map((button) => ({
    button, name: button.textContent, x: numbers(button.dataset.x), y: numbers(button.dataset.y),
  }));

  lines.forEach((line, at) => line.button.addEventListener("click", () => {
    const shown = line.button.getAttribute("aria-pressed") !== "true";
    line.button.setAttribute("aria-pressed", String(shown));
    for (const path of figure.querySelectorAll(`[data-line="${at}"]`)) path.classList.toggle("hidden", !shown);
  }));

  for (const area of figure.querySelectorAll(".area")) {
    const cursor = area.querySelector("u");
    const tip = document.createElement("div");
    tip.className = "tip";
    area.append(tip);
    const leave = () => { cursor.style.display = tip.style.display = "none"; };
    area.addEventListener("pointerleave", leave);
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      const wanted = low + (high - low) * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const reach = wanted - (high - low) * 0.03;  // a curve that has ended has no value here
      const visible = lines.filter((line) => line.button.getAttribute("aria-pressed") === "true" && line.x.at(-1) >= reach);
      if (!visible.length) return leave();
      const found = visible.map((line) => ({ ...line, at: nearest(line.x, wanted) }));
      const step = found.map((each) => each.x[each.at]).reduce((a, b) => (Math.abs(a - wanted) <= Math.abs(b - wanted) ? a : b));
      tip.replaceChildren(`${figure.dataset.axis} ${step}`, ...found.map(entry));
      const part = (step - low) / (high - low);
      cursor.style.left = `${100 * part}%`;
      cursor.style.display = tip.style.display = "block";
      tip.style.left = part < 0.5 ? `calc(${100 * part}% + 10px)` : "auto";
      tip.style.right = part < 0.5 ? "auto" : `calc(${100 * (1 - part)}% + 10px)`;
    });
  }
}

function nearest(sorted, wanted) {
  let first = 0, last = sorted.length - 1;
  while (last - first > 1) {
    const middle = (first + last) >> 1;
    if (sorted[middle] < wanted) first = middle; else last = middle;
  }
  return Math.abs(sorted[first] - wanted) <= Math.abs(sorted[last] - wanted) ? first : last;
}

function entry(line) {
  const [row, color, value, name] = ["div", "i", "b", "span"].map((kind) => document.createElement(kind));
  row.className = line.button.className;
  value.textContent = String(line.y[line.at]);
  name.textContent = line.name;
  row.append(color, value, name);
  return row;
}
