// A certified OpenID provider on a free loopback port, driven by the tests: one JSON command for each line on stdin, one JSON answer for each
// on stdout. It ends with its stdin.
import http from 'node:http';
import readline from 'node:readline';
import Provider from 'oidc-provider';

const AUDIENCE = 'urn:switchgear';
const PEOPLE = {
  alice: { department: { team: 'platform' }, realm_access: { roles: ['engineer', 'reviewer'] } },
  bob: { department: { team: 'research' }, realm_access: { roles: ['contractor'] } },
  carol: { realm_access: { roles: [] } },
};
const faults = { delay_ms: 0, padding: 0, status: 0 };
const counts = { discovery: 0, jwks: 0 };
let provider;
let issuer;

function configure(keys, alg, issuerOfTokens) {
  provider = new Provider(issuerOfTokens, {
    jwks: { keys },
    cookies: { keys: ['a key for the cookies of a test'] },
    clients: [
      {
        client_id: 'console', token_endpoint_auth_method: 'none', application_type: 'native',
        redirect_uris: ['http://127.0.0.1/signed-in'], grant_types: ['authorization_code'], response_types: ['code'],
        id_token_signed_response_alg: alg,
      },
      {
        client_id: 'service', client_secret: 'not a secret, it is a test',
        redirect_uris: [], grant_types: ['client_credentials'], response_types: [],
        id_token_signed_response_alg: alg,
      },
    ],
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] },
    findAccount: (ctx, id) => (PEOPLE[id] ? { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) } : undefined),
    extraTokenClaims: (ctx, token) => (token.kind === 'ClientCredentials'
      ? { department: { team: 'automation' }, realm_access: { roles: ['robot'] } }
      : PEOPLE[token.accountId]),
    ttl: { AccessToken: 600, ClientCredentials: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'infer', audience: resource, accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg } },
        }),
      },
    },
  });
}

const server = http.createServer((request, response) => {
  const path = new URL(request.url, issuer).pathname;
  const document = path === '/.well-known/openid-configuration' ? 'discovery' : path === '/jwks' ? 'jwks' : null;
  if (document === null) return provider.callback()(request, response);
  counts[document] += 1;
  const answer = () => {
    if (faults.status) return response.writeHead(faults.status).end('{}');
    if (document === 'jwks' && faults.padding) {
      return response.end(JSON.stringify({ keys: [], padding: 'x'.repeat(faults.padding) }));
    }
    return provider.callback()(request, response);
  };
  return faults.delay_ms ? setTimeout(answer, faults.delay_ms) : answer();
});

function listen(port) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server.address().port));
  });
}

const commands = {
  async start({ keys, alg, port = 0 }) {
    const at = await listen(port);
    issuer = `http://127.0.0.1:${at}`;
    configure(keys, alg, issuer);
    return { issuer, audience: AUDIENCE };
  },
  async rotate({ keys, alg }) {
    configure(keys, alg, issuer);
    return {};
  },
  async pretend({ keys, alg, to_be: toBe }) {
    configure(keys, alg, toBe);
    return {};
  },
  async misbehave(wanted) {
    Object.assign(faults, { delay_ms: 0, padding: 0, status: 0 }, wanted);
    return {};
  },
  async count() {
    const now = { ...counts };
    Object.assign(counts, { discovery: 0, jwks: 0 });
    return now;
  },
  async stop() {
    server.closeAllConnections();
    await new Promise((resolve) => { server.close(resolve); });
    return {};
  },
  async resume() {
    await listen(Number(new URL(issuer).port));
    return {};
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line);
  try {
    process.stdout.write(`${JSON.stringify(await commands[command](options))}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error.stack) })}\n`);
  }
}
process.exit(0);
