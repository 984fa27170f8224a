// node-oidc-provider on loopback for interop tests: one client that authenticates by Basic with awkward characters in
// its secret, one by request body, rotation with reuse detection. PORT, CALLBACK, AT_TTL (seconds) by environment.
import Provider from 'oidc-provider';

const port = Number(process.env.PORT);
const issuer = `http://127.0.0.1:${port}`;
const shared = {
  redirect_uris: process.env.CALLBACK.split(','),
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
};
const provider = new Provider(issuer, {
  clients: [
    { ...shared, client_id: 'basic', client_secret: 'sec:ret+%41/&= ~', token_endpoint_auth_method: 'client_secret_basic' },
    {
      client_id: 'alone', client_secret: 'alone-secret', redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'], scope: 'read',
    },
    { ...shared, client_id: 'post', client_secret: 'post-secret', token_endpoint_auth_method: 'client_secret_post' },
  ],
  scopes: ['openid', 'offline_access', 'email', 'read'],
  claims: { openid: ['sub'], email: ['email'] },
  features: { devInteractions: { enabled: true }, revocation: { enabled: true }, clientCredentials: { enabled: true } },
  ttl: {
    AccessToken: Number(process.env.AT_TTL || 3600), ClientCredentials: Number(process.env.AT_TTL || 3600), RefreshToken: 3600, AuthorizationCode: 60, Grant: 7200,
    Session: 7200, Interaction: 600, IdToken: 600,
  },
  rotateRefreshToken: true,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.test` }) }),
  cookies: { keys: ['for tests only'] },
});
let tokenRequests = 0;
provider.use(async (ctx, next) => {
  if (ctx.path === '/count') { ctx.body = { token_requests: tokenRequests }; return; }
  if (ctx.path === '/token') tokenRequests += 1;
  await next();
});
provider.listen(port, '127.0.0.1', () => console.log('ready', issuer));
