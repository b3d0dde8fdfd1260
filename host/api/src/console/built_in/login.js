// A login link has its code after `#`, which the browser does not send. It works only once.
"use strict";
const message = document.getElementById("status");
const form = document.getElementById("form");
const token = document.getElementById("token");

async function login(body) {
  message.textContent = "Logging in…";
  try {
    const answer = await fetch("/api/login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const result = await answer.json();
    if (answer.ok) {
      message.textContent = `You are logged in as ${result.role}.`;
      form.hidden = true;
    } else {
      message.textContent = answer.status === 401 && body.code
        ? "This link was already used or has expired. Log in with a token."
        : result.detail;
    }
  } catch {
    message.textContent = "Skep does not respond. Is it running?";
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
