// An operator hears of little, and watches everything: what is live on their pages is looked at
// again every few seconds, as long as somebody looks.
const SOON_MS = 5000;
const LATER_MS = 60000;

function tell(name) {
  if (!document.hidden && navigator.onLine) document.body.dispatchEvent(new CustomEvent(name));
}
setInterval(tell, SOON_MS, "look");
setInterval(tell, LATER_MS, "look-back");
document.addEventListener("visibilitychange", () => tell("look"));

// The section that this is may lie beyond the edge of a phone.
for (const [nav, inline] of [[".faces", "nearest"], [".tabs", "center"], [".parts-of", "nearest"]]) {
  document.querySelector(`${nav} [aria-current]`)?.scrollIntoView({ block: "nearest", inline });
}

// A choice is followed at once.
document.addEventListener("change", (event) => {
  if (event.target.matches(".filter select, .filter [type=checkbox]")) event.target.form.requestSubmit();
});
