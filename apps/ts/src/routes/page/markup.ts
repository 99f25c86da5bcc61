import { LOGO } from "./theme.ts";

/** The page at `/`. Everything that depends on the server is filled in from /info. */
export const CHAT_MARKUP = `<header>
<a class="brand" href="./">${LOGO}<span>Fractal Agents Runtime</span></a>
<span class="badge" id="model" hidden></span>
<nav aria-label="Pages"><a href="docs">API reference</a><a href="openapi.json">OpenAPI</a></nav>
</header>
<main>
<section class="chat" aria-label="Chat">
<div class="bar">
<label for="graph" class="quiet">Graph</label>
<select id="graph"></select>
<button class="button" id="fresh" type="button">New chat</button>
</div>
<div class="log" id="log" role="log" aria-live="polite" aria-label="Messages" tabindex="0">
<div class="welcome" id="welcome">
<h1 id="invitation">Talk to your agent</h1>
<p class="quiet">This server keeps every run and its thread, so a reload goes on where you were.</p>
<div class="ideas" id="ideas">
<button class="button" type="button">What time is it in Tokyo?</button>
<button class="button" type="button">Calculate 12 * (3 + 4)</button>
<button class="button" type="button">Send the report with my approval</button>
</div>
</div>
<div class="part" id="said"></div>
<div class="part" id="asked"></div>
<div class="part" id="notes"></div>
</div>
<div class="lost" id="lost" role="status" hidden></div>
<form class="compose" id="compose">
<div class="input" id="fields" hidden></div>
<label class="visually-hidden" for="text">Message</label>
<textarea id="text" rows="1" placeholder="Write a message" autocomplete="off"></textarea>
<button class="button primary" id="send" type="submit">Send</button>
<button class="button" id="stop" type="button" hidden>Stop</button>
</form>
</section>
<aside>
<section class="card" aria-labelledby="graphs-title">
<h2 id="graphs-title">Graphs</h2>
<ul class="graphs" id="graphs"></ul>
</section>
<section class="card" aria-labelledby="code-title">
<h2 id="code-title">From your code</h2>
<div class="snippet"><h3>Shell</h3><button class="button" type="button" data-copy="curl" aria-label="Copy the shell command">Copy</button></div>
<pre id="curl" tabindex="0"></pre>
<div class="snippet"><h3>npm i @langchain/langgraph-sdk</h3><button class="button" type="button" data-copy="sdk" aria-label="Copy the JavaScript">Copy</button></div>
<pre id="sdk" tabindex="0"></pre>
</section>
<p class="quiet" id="facts"></p>
</aside>
</main>
<noscript>This page needs JavaScript. The API does not: see /openapi.json.</noscript>`;
