// LangChain in JS, chat completions.
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { KEY, MODEL, QUESTION, URL, WEATHER, dataUrl } from "./given.mjs";

const model = new ChatOpenAI({ model: MODEL, apiKey: KEY, configuration: { baseURL: `${URL}/v1` } });
const City = z.object({ name: z.string(), country: z.string(), population: z.number() });

export async function chat() {
  return { text: (await model.invoke(QUESTION)).text };
}

export async function stream() {
  const pieces = [];
  for await (const chunk of await model.stream(QUESTION)) if (chunk.text) pieces.push(chunk.text);
  return { pieces };
}

export async function tools() {
  const calls = [];
  const weather = tool(({ city }) => (calls.push(city), WEATHER[city]), {
    name: "weather",
    description: "Tell the weather in a city.",
    schema: z.object({ city: z.string() }),
  });
  const messages = [new HumanMessage(QUESTION)];
  const bound = model.bindTools([weather]);
  for (;;) {
    const said = await bound.invoke(messages);
    if (!said.tool_calls.length) return { text: said.text, calls };
    messages.push(said);
    for (const call of said.tool_calls) {
      messages.push(new ToolMessage({ content: await weather.invoke(call.args), tool_call_id: call.id }));
    }
  }
}

export async function structured() {
  return { object: await model.withStructuredOutput(City).invoke(QUESTION) };
}

export async function images() {
  const content = [{ type: "text", text: QUESTION }, { type: "image_url", image_url: { url: dataUrl() } }];
  return { text: (await model.invoke([new HumanMessage({ content })])).text };
}

export async function errors() {
  try {
    await model.invoke(QUESTION);
  } catch (error) {
    return { error: error.message };
  }
}

export async function cancel() {
  const leaving = new AbortController();
  for await (const chunk of await model.stream(QUESTION, { signal: leaving.signal })) {
    if (chunk.text) return void leaving.abort();
  }
}
