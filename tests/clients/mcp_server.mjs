// The MCP TypeScript SDK's server behind a sidecar: sessions, streams that can be resumed, and all that the server
// scenarios of the conformance suite ask for. It says its address, and keeps a list of the tools that were called.
import { randomUUID } from 'node:crypto';
import express from 'express';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CompleteRequestSchema,
  ElicitResultSchema,
  CreateMessageResultSchema,
  isInitializeRequest,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { tell } from './lines.mjs';

const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const WAVE = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
const text = (words) => ({ type: 'text', text: words });
const said = (...content) => ({ content });
const image = { type: 'image', data: DOT, mimeType: 'image/png' };
const resource = (uri, words) => ({ type: 'resource', resource: { uri, mimeType: 'text/plain', text: words } });
const user = (content) => ({ role: 'user', content });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What each tool does, by its name.
const tools = {
  look: async ({ instance }) => said(text(`looked at ${instance}`)),
  change: async ({ instance }) => said(text(`changed ${instance}`)),
  hidden: async ({ instance }) => said(text(`hidden ${instance}`)),
  // Tells of its progress for a minute, or until nobody listens.
  watch: async (_, { sendNotification, _meta, signal }) => {
    for (let progress = 0; progress < 600 && !signal.aborted; progress += 1) {
      await sendNotification({ method: 'notifications/progress', params: { progressToken: _meta?.progressToken ?? 0, progress } });
      await sleep(100);
    }
    return said(text('nothing to see'));
  },
  test_simple_text: async () => said(text('This is a simple text response for testing.')),
  test_image_content: async () => said(image),
  test_audio_content: async () => said({ type: 'audio', data: WAVE, mimeType: 'audio/wav' }),
  test_embedded_resource: async () => said(resource('test://embedded-resource', 'This is an embedded resource content.')),
  test_multiple_content_types: async () =>
    said(text('Multiple content types test:'), image, resource('test://mixed-content-resource', '{"test":"data"}')),
  test_tool_with_logging: async (_, { sendNotification }) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
      await sleep(20);
    }
    return said(text('Tool with logging executed successfully'));
  },
  test_error_handling: async () => {
    throw new Error('This tool intentionally returns an error for testing');
  },
  test_tool_with_progress: async (_, { sendNotification, _meta }) => {
    const progressToken = _meta?.progressToken ?? 0;
    for (const progress of [0, 50, 100]) {
      await sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      await sleep(20);
    }
    return said(text(String(progressToken)));
  },
  test_sampling: async ({ prompt }, { sendRequest }) => {
    const messages = [user(text(prompt))];
    const answer = await sendRequest({ method: 'sampling/createMessage', params: { messages, maxTokens: 100 } }, CreateMessageResultSchema);
    return said(text(`LLM response: ${answer.content.text ?? ''}`));
  },
  test_elicitation: async ({ message }, { sendRequest }) => {
    const requestedSchema = { type: 'object', properties: { response: { type: 'string' } }, required: ['response'] };
    const answer = await sendRequest({ method: 'elicitation/create', params: { message, requestedSchema } }, ElicitResultSchema);
    return said(text(`User response: action=${answer.action}, content=${JSON.stringify(answer.content)}`));
  },
  test_reconnection: async (_, { closeSSEStream, requestId }) => {
    closeSSEStream?.();
    await sleep(100);
    return said(text(`Reconnection test completed: ${requestId}`));
  },
};

const called = [];
const make = () => {
  const capabilities = { logging: {}, completions: {}, resources: { subscribe: true } };
  const server = new McpServer({ name: 'behind a sidecar', version: '1.0.0' }, { capabilities });
  const inputSchema = { instance: z.string().optional(), prompt: z.string().optional(), message: z.string().optional() };
  for (const [name, does] of Object.entries(tools)) {
    server.registerTool(name, { description: name, inputSchema }, (...asked) => {
      called.push(name);
      return does(...asked);
    });
  }
  server.registerResource('text', 'test://static-text', { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }],
  }));
  server.registerResource('binary', 'test://static-binary', { mimeType: 'image/png' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'image/png', blob: DOT }],
  }));
  server.registerResource('watched', 'test://watched-resource', {}, (uri) => ({ contents: [{ uri: uri.href, text: 'x' }] }));
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  server.registerResource('template', template, { mimeType: 'application/json' }, (uri, { id }) => ({
    contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }],
  }));
  server.registerPrompt('test_simple_prompt', { description: 'Simple.' }, () => ({ messages: [user(text('This is a simple prompt for testing.'))] }));
  server.registerPrompt('test_prompt_with_arguments', { description: 'With arguments.', argsSchema: { arg1: z.string(), arg2: z.string() } }, (args) => ({
    messages: [user(text(`Prompt with arguments: arg1='${args.arg1}', arg2='${args.arg2}'`))],
  }));
  server.registerPrompt('test_prompt_with_embedded_resource', { description: 'With a resource.', argsSchema: { resourceUri: z.string() } }, (args) => ({
    messages: [user(resource(args.resourceUri, 'Embedded resource content for testing.')), user(text('Please process it.'))],
  }));
  server.registerPrompt('test_prompt_with_image', { description: 'With an image.' }, () => ({ messages: [user(image), user(text('Please analyze it.'))] }));
  const { server: raw } = server;
  raw.setRequestHandler(SetLevelRequestSchema, async () => ({}));
  raw.setRequestHandler(SubscribeRequestSchema, async () => ({}));
  raw.setRequestHandler(UnsubscribeRequestSchema, async () => ({}));
  raw.setRequestHandler(CompleteRequestSchema, async () => ({ completion: { values: ['paris'], total: 1, hasMore: false } }));
  return server;
};

// The events of streams, so that they can be resumed.
const events = new Map();
const eventStore = {
  storeEvent: async (stream, message) => {
    const id = `${stream}_${events.size}`;
    events.set(id, { stream, message });
    return id;
  },
  replayEventsAfter: async (last, { send }) => {
    const stream = events.get(last)?.stream ?? '';
    let after = false;
    for (const [id, event] of events) {
      if (after && event.stream === stream && event.message.jsonrpc) await send(id, event.message);
      after ||= id === last;
    }
    return stream;
  },
};

const sessions = new Map();
const app = express();
app.use(express.json());
app.all('/mcp', async (request, response) => {
  const { origin } = request.headers;
  if (origin && !/^http:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/.test(origin)) {
    response.status(403).json({ jsonrpc: '2.0', error: { code: -32000, message: 'Invalid Origin' }, id: null });
    return;
  }
  // A server that mixes up whom it answers.
  if (request.body?.params?.mistaken) {
    const result = { tools: [{ name: 'look', inputSchema: {} }, { name: 'hidden', inputSchema: {} }] };
    const message = { jsonrpc: '2.0', id: request.body.id, result };
    if (request.body.params.mistaken === 'json') response.json(message);
    else response.type('text/event-stream').end(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
    return;
  }
  const known = sessions.get(request.headers['mcp-session-id']);
  if (known) {
    await known.handleRequest(request, response, request.body);
    return;
  }
  if (!isInitializeRequest(request.body)) {
    const error = { code: -32000, message: 'Bad Request: no valid session' };
    response.status(400).json({ jsonrpc: '2.0', error, id: null });
    return;
  }
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => sessions.set(id, transport),
    eventStore,
    retryInterval: 200,
  });
  await make().connect(transport);
  await transport.handleRequest(request, response, request.body);
});
app.get('/_called', (_, response) => response.json(called));
const listener = app.listen(0, '127.0.0.1', () => tell({ url: `http://127.0.0.1:${listener.address().port}` }));
