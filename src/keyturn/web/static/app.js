// Every page works without a script; this makes it kinder. Each part starts on a root: the document, or what came new.
import * as copy from "./copy.js";
import * as live from "./live.js";
import * as oauthClient from "./oauth_client.js";
import * as popup from "./popup.js";
import * as rows from "./rows.js";
import * as schedule from "./schedule.js";
import * as shown from "./shown.js";
import * as swap from "./swap.js";
import * as times from "./times.js";

const parts = [copy, live, oauthClient, popup, rows, schedule, shown, swap, times];

export function start(root) {
  for (const part of parts) part.start(root, start);
}

start(document);
