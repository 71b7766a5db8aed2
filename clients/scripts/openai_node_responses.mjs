// The openai package of Node, responses.
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { KEY, MODEL, QUESTION, URL, WEATHER, dataUrl } from "./given.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
const model = MODEL;
const City = z.object({ name: z.string(), country: z.string(), population: z.number() });
const weather = {
  type: "function",
  name: "weather",
  description: "Tell the weather in a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
  strict: true,
};

export async function chat() {
  return { text: (await client.responses.create({ model, input: QUESTION })).output_text };
}

export async function stream() {
  const pieces = [];
  const events = client.responses.stream({ model, input: QUESTION });
  for await (const event of events) if (event.type === "response.output_text.delta") pieces.push(event.delta);
  if ((await events.finalResponse()).output_text !== pieces.join("")) throw new Error("the final response differs");
  return { pieces };
}

export async function tools() {
  const calls = [];
  const input = [{ role: "user", content: QUESTION }];
  for (;;) {
    const done = await client.responses.create({ model, input, tools: [weather] });
    const asked = done.output.filter((item) => item.type === "function_call");
    if (!asked.length) return { text: done.output_text, calls };
    input.push(...done.output);
    for (const call of asked) {
      const { city } = JSON.parse(call.arguments);
      calls.push(city);
      input.push({ type: "function_call_output", call_id: call.call_id, output: WEATHER[city] });
    }
  }
}

export async function structured() {
  const done = await client.responses.parse({ model, input: QUESTION, text: { format: zodTextFormat(City, "city") } });
  return { object: done.output_parsed };
}

export async function images() {
  const content = [{ type: "input_text", text: QUESTION }, { type: "input_image", image_url: dataUrl(), detail: "auto" }];
  return { text: (await client.responses.create({ model, input: [{ role: "user", content }] })).output_text };
}

export async function errors() {
  try {
    await client.responses.create({ model, input: QUESTION });
  } catch (error) {
    return { error: error.message };
  }
}

export async function cancel() {
  const events = await client.responses.create({ model, input: QUESTION, stream: true });
  for await (const event of events) if (event.type === "response.output_text.delta") return void events.controller.abort();
}
