// Says on the page that the server does not answer, or that the session has ended, and takes the first back.
// Pages ask by themselves: each one whether its server is there, some for what is new.

(() => {
  const lost = document.getElementById("lost");
  const ended = document.getElementById("ended");
  if (!lost || !ended) return;

  const isLost = (state) => () => { lost.hidden = !state || !ended.hidden; };
  for (const name of ["htmx:sendError", "htmx:sseError"]) document.addEventListener(name, isLost(true));
  for (const name of ["htmx:afterOnLoad", "htmx:sseOpen"]) document.addEventListener(name, isLost(false));

  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.status === 401) {
      ended.hidden = false;
      lost.hidden = true;
    }
  });
})();
