// What pages gain with a script: they keep themselves up to date, and copy values. Each works without it.
"use strict";
(() => {
  for (const hint of document.querySelectorAll(".noscript-only")) hint.hidden = true;
  for (const control of document.querySelectorAll("[data-script]")) control.hidden = false;

  // Live parts: the page is fetched again, and the parts that have changed take the place of the old ones.
  const live = () => document.querySelectorAll("[data-live]");
  const every = 3000;
  const refresh = () => {
    if (document.hidden) return setTimeout(refresh, every);
    const request = new XMLHttpRequest();
    const target = new URL(live()[0].dataset.live || location.href, location.href);
    request.open("GET", target.href);
    request.setRequestHeader("X-Scimd-Live", "1");
    request.responseType = "document";
    request.timeout = 20000;
    request.onloadend = () => {
      const fresh = request.response;
      if (request.status === 200 && request.responseURL && new URL(request.responseURL).pathname !== target.pathname) {
        // The session has ended.
        return location.reload();
      }
      if (request.status === 200 && fresh) {
        for (const part of live()) {
          const other = fresh.getElementById(part.id);
          if (!other || part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button, summary")) continue;
          if (other.isEqualNode(part)) continue;
          const said = (node) => node.querySelector("[data-announce]")?.textContent ?? "";
          if (said(other) !== said(part)) document.getElementById("announcer").textContent = said(other);
          part.replaceWith(document.importNode(other, true));
        }
      }
      setTimeout(refresh, request.status === 200 ? every : every * 4);
    };
    request.send();
  };
  if (live().length) setTimeout(refresh, every);

  // Forms that say when they are complete: what the chosen method requires is filled in and valid.
  for (const form of document.querySelectorAll("form[data-complete]")) {
    const check = () => {
      form.elements.service_origin.required = form.elements.method.value === "custom";
      for (const button of form.querySelectorAll("[data-when-complete]")) button.disabled = !form.checkValidity();
    };
    form.addEventListener("input", check);
    check();
  }

  // Copy buttons: the text of the element that they name.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const text = source.value ?? source.textContent;
    const was = button.textContent;
    navigator.clipboard.writeText(text.trim()).then(() => {
      button.textContent = "Copied";
      source.closest("[data-once]")?.removeAttribute("data-once");
      setTimeout(() => { button.textContent = was; }, 1500);
    }, () => {
      // Not allowed: select it, so that the keyboard copies it.
      const range = document.createRange();
      source.closest("details")?.setAttribute("open", "");
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
    });
  });

  // A value that is shown once: leaving asks first, until it was copied.
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("[data-once]")) event.preventDefault();
  });
})();
