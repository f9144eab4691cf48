// The MCP TypeScript SDK as a client, version 1 or 2: from nothing but a server's address through discovery,
// registration and authorization to tool calls. The test plays the person who authorizes, and says what to do next.
import { done, hear, tell } from './lines.mjs';

const facts = await hear();
const library =
  facts.library === 'v1'
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }
    : await import('@modelcontextprotocol/client');
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = library;

// What a program keeps between its runs.
const kept = { client: facts.client_id ? { client_id: facts.client_id } : undefined };
const provider = {
  redirectUrl: facts.redirect_uri,
  clientMetadata: {
    client_name: 'Consentry test',
    redirect_uris: [facts.redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientMetadataUrl: facts.document,
  clientInformation: () => kept.client,
  saveClientInformation: (client) => {
    kept.client = client;
  },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => {
    kept.tokens = tokens;
  },
  redirectToAuthorization: (url) => tell({ authorize: url.href }),
  saveCodeVerifier: (verifier) => {
    kept.verifier = verifier;
  },
  codeVerifier: () => kept.verifier,
  saveDiscoveryState: (state) => {
    kept.discovery = state;
  },
  discoveryState: () => kept.discovery,
  invalidateCredentials: (scope) => {
    if (scope === 'all' || scope === 'tokens') kept.tokens = undefined;
    if (scope === 'all' || scope === 'client') kept.client = undefined;
    if (scope === 'all' || scope === 'discovery') kept.discovery = undefined;
  },
};

// A stream that ends before its answer came is not always a thing that the library speaks of: it is seen here.
let cut = () => {};
const seen = async (address, options) => {
  const response = await fetch(address, options);
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  if (isStream && options?.method === 'POST') {
    const ended = cut;
    const drain = async () => {
      for await (const _ of response.clone().body);
    };
    drain().then(ended, ended);
  }
  return response;
};
const begin = () => new StreamableHTTPClientTransport(new URL(facts.server), { authProvider: provider, fetch: seen });

let transport = begin();
const options = facts.mode ? { versionNegotiation: { mode: facts.mode } } : {};
let client = new Client({ name: 'consentry-test', version: '1.0.0' }, options);

// The person comes back with an answer.
const returned = async () => {
  const { redirect } = await hear();
  const parameters = new URL(redirect).searchParams;
  await transport.finishAuth(facts.library === 'v1' ? parameters.get('code') : parameters);
};

// What to do, once more if somebody had to authorize it first.
const authorized = async (act) => {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof UnauthorizedError) && error.name !== 'UnauthorizedError') throw error;
    await returned();
    return act();
  }
};

const told = (error) => ({ error: { code: error.code, message: error.message, data: error.data, kind: error.name } });

const connect = async () => {
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError) && error.name !== 'UnauthorizedError') throw error;
    await returned();
    transport = begin();
    client = new Client({ name: 'consentry-test', version: '1.0.0' }, options);
    await client.connect(transport);
  }
};

const orders = {
  list: async () => ({ tools: (await client.listTools()).tools.map((tool) => tool.name) }),
  prompts: async () => ({ prompts: (await client.listPrompts()).prompts.map((prompt) => prompt.name) }),
  resources: async () => ({ resources: (await client.listResources()).resources.map((one) => one.uri) }),
  call: async ({ tool }) => ({ content: (await client.callTool({ name: tool, arguments: { instance: 'i-1' } })).content }),
  // Calls a tool that tells of its progress without end, and says how that ended.
  watch: async ({ tool }) => {
    let progress = 0;
    const onprogress = () => {
      progress += 1;
      if (progress === 2) tell({ watching: true });
    };
    const asked = { name: tool, arguments: {} };
    const more = { onprogress, timeout: 60_000, resetTimeoutOnProgress: true };
    const silence = new Promise((resolve) => {
      cut = resolve;
    });
    const call = facts.library === 'v1' ? client.callTool(asked, undefined, more) : client.callTool(asked, more);
    // It is given time to resume, which ends in something that the library does speak of.
    const given_up = silence.then(() => new Promise((resolve) => setTimeout(resolve, 2500, { cut: true })));
    return Promise.race([call, given_up]);
  },
};

try {
  await connect();
  tell({ connected: true, session: Boolean(transport.sessionId), client_id: kept.client?.client_id, refresh: Boolean(kept.tokens?.refresh_token) });
  for (;;) {
    const order = await hear();
    if (order.do === 'end') break;
    try {
      tell(await authorized(() => orders[order.do](order)));
    } catch (error) {
      tell(told(error));
    }
  }
  await client.close();
} catch (error) {
  tell(told(error));
}
done();
process.exit(0);
