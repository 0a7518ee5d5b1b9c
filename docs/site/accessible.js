/* What the theme lacks for keyboards and screen readers: a name of the search, and tables that can be scrolled. */
addEventListener("load", () => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search")
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) table.tabIndex = 0
})
