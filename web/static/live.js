// One websocket; it comes back by itself, and says how it is.
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;

/** Listen to `path`; call `onUpdate(update)` for each update and `onConnect()` when updates may have been missed. */
export function listen(path, { onUpdate, onConnect, status }) {
  let delay = FIRST_DELAY_MS;
  let opened = 0;

  const say = (state, text) => {
    if (status.dataset.state === state && status.textContent === text) return;
    status.dataset.state = state;
    status.textContent = text;
  };

  const connect = () => {
    const socket = new WebSocket(new URL(path, location.href.replace(/^http/, "ws")));
    socket.addEventListener("message", ({ data }) => {
      const update = JSON.parse(data);
      if (update.kind === "hello") {
        delay = FIRST_DELAY_MS;
        say("on", "Live");
        if (opened++) onConnect(); // what happened in between is unknown
      } else if (update.kind === "lost") {
        say("on", `Live; ${update.data.dropped} updates skipped`);
        onConnect();
      } else {
        onUpdate(update);
      }
    });
    socket.addEventListener("close", () => {
      // Jitter, or all browsers come back in the same instant after a restart.
      const wait = delay * (0.5 + Math.random());
      say("off", "Not connected; trying again");
      delay = Math.min(delay * 2, LONGEST_DELAY_MS);
      setTimeout(connect, wait);
    });
  };
  connect();
}
