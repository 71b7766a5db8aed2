// The SDK of Node, messages.
import Anthropic from "@anthropic-ai/sdk";
import { KEY, MODEL, QUESTION, URL, WEATHER, image } from "./given.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY });
const asked = { model: MODEL, max_tokens: 2000, messages: [{ role: "user", content: QUESTION }] };
const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const weather = {
  name: "weather",
  description: "Tell the weather in a city.",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

export async function chat() {
  return { text: textOf(await client.messages.create(asked)) };
}

export async function stream() {
  const pieces = [];
  const events = client.messages.stream(asked).on("text", (text) => pieces.push(text));
  if (textOf(await events.finalMessage()) !== pieces.join("")) throw new Error("the final message differs");
  return { pieces };
}

export async function tools() {
  const calls = [];
  const messages = [...asked.messages];
  for (;;) {
    const done = await client.messages.create({ ...asked, messages, tools: [weather] });
    if (done.stop_reason !== "tool_use") return { text: textOf(done), calls };
    messages.push({ role: "assistant", content: done.content });
    const results = done.content.filter((block) => block.type === "tool_use").map((block) => {
      calls.push(block.input.city);
      return { type: "tool_result", tool_use_id: block.id, content: WEATHER[block.input.city] };
    });
    messages.push({ role: "user", content: results });
  }
}

export async function structured() {
  const properties = { name: { type: "string" }, country: { type: "string" }, population: { type: "integer" } };
  const schema = { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
  const done = await client.messages.create({ ...asked, output_config: { format: { type: "json_schema", schema } } });
  return { object: JSON.parse(textOf(done)) };
}

export async function images() {
  const source = { type: "base64", media_type: "image/png", data: image().toString("base64") };
  const content = [{ type: "image", source }, { type: "text", text: QUESTION }];
  return { text: textOf(await client.messages.create({ ...asked, messages: [{ role: "user", content }] })) };
}

export async function errors() {
  try {
    await client.messages.create(asked);
  } catch (error) {
    return { error: error.message };
  }
}

export async function cancel() {
  const events = client.messages.stream(asked);
  for await (const event of events) {
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") return void events.abort();
  }
}
