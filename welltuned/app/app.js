// Arrows go from tab to tab, as people who use a keyboard expect of a list of tabs.
document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("[role=tab]");
  const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!tab || !way) return;
  const all = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")];
  const next = all[(all.indexOf(tab) + way + all.length) % all.length];
  next.focus();
  next.click();
  event.preventDefault();
});
