// Judges deliveries with npm's Standard Webhooks library, which was not written by this project.
//
// Reads one JSON object a line on standard input: {"secret", "headers": {name: value}, "body"}, the
// body in base64. Answers one JSON object a line, in the same order: {"ok": true}, or
// {"ok": false, "error": "why"}.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "") continue;
  let answer;
  try {
    const { secret, headers, body } = JSON.parse(line);
    new Webhook(secret).verify(Buffer.from(body, "base64"), headers, { jsonParse: false });
    answer = { ok: true };
  } catch (error) {
    answer = { ok: false, error: String(error?.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
