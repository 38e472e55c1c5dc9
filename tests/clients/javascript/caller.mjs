// Calls operations for the tests: lines of JSON in, {"operation", "members"}; a line out for each, {"answer"} or {"refused"}.
// Where the server is, who calls and in which region, the SDK reads from the environment.
import { createInterface } from "node:readline";
import * as sdk from "@aws-sdk/client-eventbridge";

const client = new sdk.EventBridgeClient();

function revive(name, value) {
  return name.endsWith("Time") ? new Date(value) : value;
}

async function call({ operation, members }) {
  try {
    const { $metadata, ...answer } = await client.send(new sdk[`${operation}Command`](members));
    return { answer };
  } catch (error) {
    if (!(error instanceof sdk.EventBridgeServiceException)) throw error;
    return { refused: { code: error.name, sentence: error.message, kind: error.constructor.name } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await call(JSON.parse(line, revive))));
}
