// A login link has its code after `#`, which the browser sends to nobody. It is good once.
"use strict";
const says = document.getElementById("says");
const form = document.getElementById("form");
const token = document.getElementById("token");

async function login(body) {
  says.textContent = "Logging in…";
  try {
    const answer = await fetch("/api/login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (answer.ok) {
      says.textContent = `You are logged in as ${said.role}.`;
      form.hidden = true;
    } else {
      says.textContent = answer.status === 401 && body.code
        ? "This link was used or is too old. Log in with a token."
        : said.detail;
    }
  } catch {
    says.textContent = "Skep does not answer. Is it running?";
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  login({ token: token.value.trim() });
  token.value = "";
});

const code = decodeURIComponent(location.hash.slice(1)).replace(/^code=/, "");
if (code) {
  history.replaceState(null, "", location.pathname);
  login({ code });
}
