// The result of a sign-in: tell the tab that waits, which learns the truth from the server anyway.
if (document.querySelector("[data-connected]") && "BroadcastChannel" in window) {
  new BroadcastChannel("keyturn-sign-in").postMessage("done");
}
