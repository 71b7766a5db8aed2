// Run one function of a script, and write what it returns: `node run.mjs script.mjs function`.
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [path, name] = process.argv.slice(2);
const script = await import(pathToFileURL(path));
const outcome = await script[name]();
writeFileSync("outcome.json", JSON.stringify(outcome ?? {}));
process.exit(0);
