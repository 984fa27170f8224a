// node-oidc-provider on loopback for interop tests: a client for each way of authenticating and for what servers may
// demand (pushed requests, DPoP, resources), rotation with reuse detection, and a paged API that checks its tokens.
// PORT, CALLBACK, AT_TTL (seconds), JWKS_URI (of the client that signs), DPOP_NONCE=1 and ID_ALG by environment.
import { createHash, generateKeyPairSync } from 'node:crypto';
import { EmbeddedJWK, calculateJwkThumbprint, createRemoteJWKSet, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const port = Number(process.env.PORT);
const issuer = `http://127.0.0.1:${port}`;
const nonces = process.env.DPOP_NONCE === '1';
const shared = {
  redirect_uris: process.env.CALLBACK.split(','),
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
};
const jwt = { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: process.env.JWKS_URI };
// Fresh at each start, so that a restart is a server that has changed its keys.
const fresh = (alg, ...kind) => ({ ...generateKeyPairSync(...kind).privateKey.export({ format: 'jwk' }), alg, use: 'sig' });
const keys = [
  fresh('RS256', 'rsa', { modulusLength: 2048 }), fresh('PS256', 'rsa', { modulusLength: 2048 }),
  fresh('ES256', 'ec', { namedCurve: 'P-256' }), fresh('EdDSA', 'ed25519'),
];
const provider = new Provider(issuer, {
  jwks: { keys },
  clients: [
    { ...shared, client_id: 'basic', client_secret: 'sec:ret+%41/&= ~', token_endpoint_auth_method: 'client_secret_basic' },
    {
      client_id: 'alone', client_secret: 'alone-secret', redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'], scope: 'read',
    },
    {
      client_id: 'device', client_secret: 'device-secret', redirect_uris: [], response_types: [],
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    },
    {
      ...shared, client_id: 'organisation', client_secret: 'organisation-secret-1', grant_types: ['authorization_code'],
      id_token_signed_response_alg: process.env.ID_ALG || 'RS256',
    },
    { ...shared, client_id: 'post', client_secret: 'post-secret', token_endpoint_auth_method: 'client_secret_post' },
    { ...shared, client_id: 'private_key_jwt', ...jwt, token_endpoint_auth_signing_alg: 'ES256' },
    { ...shared, client_id: 'private_key_jwt_par_dpop', ...jwt, require_pushed_authorization_requests: true, dpop_bound_access_tokens: true },
    { ...shared, client_id: 'client_secret_jwt', client_secret: 'a-long-shared-secret-of-at-least-32-bytes', token_endpoint_auth_method: 'client_secret_jwt' },
    { ...shared, client_id: 'none', token_endpoint_auth_method: 'none' },
    { ...shared, client_id: 'par', client_secret: 'par-secret', require_pushed_authorization_requests: true },
    { ...shared, client_id: 'dpop', client_secret: 'dpop-secret', dpop_bound_access_tokens: true },
  ],
  scopes: ['openid', 'offline_access', 'email', 'profile', 'read', 'api:read'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], auth_time: null },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    clientCredentials: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => nonces },
    registration: { enabled: true, initialAccessToken: process.env.REGISTRATION_TOKEN || false },
    registrationManagement: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== 'urn:api') throw new errors.InvalidTarget();
        return { scope: 'api:read', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 120 };
      },
    },
  },
  enabledJWA: { clientAuthSigningAlgValues: ['HS256', 'RS256', 'PS256', 'ES256', 'Ed25519'] },
  ttl: {
    AccessToken: Number(process.env.AT_TTL || 3600), ClientCredentials: Number(process.env.AT_TTL || 3600), RefreshToken: 3600, AuthorizationCode: 60, Grant: 7200,
    Session: 7200, Interaction: 600, IdToken: 600,
  },
  // Its guard refuses loopback, where our keys are published in tests.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  rotateRefreshToken: true,
  // Whoever signs in as an address has it, and one that begins with unverified- is not verified.
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({
      sub: id, email: id.includes('@') ? id : `${id}@example.test`, email_verified: !id.startsWith('unverified-'),
      name: id.split('@')[0],
    }),
  }),
  cookies: { keys: ['for tests only'] },
});

const seen = { token_requests: 0, nonces_asked_for: 0 };
const proofs = new Set();
let nonce = 0;
const published = createRemoteJWKSet(new URL(`${issuer}/jwks`));

// The thumbprint that a token is bound to, undefined for a bearer token; throws for a token that is none.
async function bindingOf(token) {
  if (token.split('.').length === 3) {
    const { payload } = await jwtVerify(token, published, { issuer, audience: 'urn:api' });
    return payload.cnf?.jkt;
  }
  const found = await provider.AccessToken.find(token);
  if (!found?.isValid) throw new Error('unknown token');
  return found.jkt;
}

// RFC 9449 §4.3, §7.1; answers why the proof is not good.
async function refusal(ctx, token, jkt) {
  const { payload, protectedHeader } = await jwtVerify(ctx.get('dpop'), EmbeddedJWK, { typ: 'dpop+jwt' });
  const ath = createHash('sha256').update(token).digest('base64url');
  if (await calculateJwkThumbprint(protectedHeader.jwk) !== jkt) return 'invalid_token';
  if (payload.htm !== ctx.method || payload.htu !== issuer + ctx.path || payload.ath !== ath) return 'invalid_dpop_proof';
  if (proofs.has(payload.jti)) return 'invalid_dpop_proof';
  proofs.add(payload.jti);
  return nonces && payload.nonce !== `nonce-${nonce}` ? 'use_dpop_nonce' : undefined;
}

async function things(ctx) {
  const [scheme, token] = ctx.get('authorization').split(' ');
  let error;
  try {
    const jkt = await bindingOf(token);
    if (scheme !== (jkt ? 'DPoP' : 'Bearer')) error = 'invalid_token';
    else if (jkt) error = await refusal(ctx, token, jkt);
  } catch {
    error = 'invalid_token';
  }
  if (error === 'use_dpop_nonce') {
    seen.nonces_asked_for += 1;
    ctx.set('DPoP-Nonce', `nonce-${nonce}`);
  }
  if (error) {
    ctx.set('WWW-Authenticate', `DPoP error="${error}", algs="ES256"`);
    ctx.status = 401;
    return;
  }
  const page = Number(ctx.query.page || 1);
  const data = Array.from({ length: page < 3 ? 20 : 11 }, (_, index) => ({ id: (page - 1) * 20 + index + 1 }));
  // A new nonce with each page: it comes with a good answer too (RFC 9449 §8.2).
  if (nonces) { nonce += 1; ctx.set('DPoP-Nonce', `nonce-${nonce}`); }
  ctx.body = { data, next: page < 3 ? `${issuer}/things?page=${page + 1}` : null };
}

provider.use(async (ctx, next) => {
  if (ctx.path === '/count') { ctx.body = seen; return; }
  if (ctx.path === '/things') { await things(ctx); return; }
  if (ctx.path === '/token') seen.token_requests += 1;
  await next();
});
provider.listen(port, '127.0.0.1', () => console.log('ready', issuer));
