// Alibaba Cloud's Node SDKs, unmodified, ask a sidecar for a role's credentials as they would ask the cloud, and work
// with what they get: nothing is configured but endpoints. Each line that comes is one thing to do; each line that goes is
// what became of it. The same conversation as that of explicit_acs.py.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const ecs = require('@alicloud/ecs20140526');
const sts = require('@alicloud/sts20150401');
const { $OpenApiUtil } = require('@alicloud/openapi-core');
const { RuntimeOptions } = require('@alicloud/tea-util');

const quick = new RuntimeOptions({ autoretry: false, readTimeout: 5000, connectTimeout: 5000 });

let credentials;

/** Nobody's for who has nothing but a token; that token; or what was given last. */
const config = ({ do: what, endpoint, bearer }) => {
  let own = {};
  if (bearer) own = { bearerToken: bearer };
  else if (what !== 'oidc') own = credentials;
  return new $OpenApiUtil.Config({ endpoint, protocol: 'HTTP', regionId: 'cn-hangzhou', ...own });
};

const given = ({ role_arn, role_session_name, duration_seconds, policy, oidctoken, oidcprovider_arn }) => ({
  roleArn: role_arn, roleSessionName: role_session_name, durationSeconds: duration_seconds, policy,
  OIDCToken: oidctoken, OIDCProviderArn: oidcprovider_arn,
});

const does = {
  oidc: (asked) =>
    new sts.default(config(asked)).assumeRoleWithOIDCWithOptions(new sts.AssumeRoleWithOIDCRequest(given(asked.with)), quick),
  assume: (asked) =>
    new sts.default(config(asked)).assumeRoleWithOptions(new sts.AssumeRoleRequest(given(asked.with)), quick),
  who: (asked) => new sts.default(config(asked)).getCallerIdentityWithOptions(quick),
  async read(asked) {
    await new ecs.default(config(asked)).describeInstancesWithOptions(new ecs.DescribeInstancesRequest({ regionId: 'cn-hangzhou' }), quick);
  },
  async stop(asked) {
    await new ecs.default(config(asked)).stopInstanceWithOptions(new ecs.StopInstanceRequest({ instanceId: 'i-1' }), quick);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if (asked.do === 'end') process.exit(0);
  if (asked.do === 'nothing') continue;
  let told;
  try {
    const answer = (await does[asked.do](asked))?.body;
    if (answer?.credentials) credentials = answer.credentials;
    told = { answer: answer ? answer.toMap() : {} };
  } catch ({ code, message, data, accessDeniedDetail }) {
    told = { code, message, data: { AccessDeniedDetail: accessDeniedDetail, ...data } };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
