// The cloud's Node SDKs, each as it ships: the generated clients for ECS and STS, and pop-core. Each line that comes is
// one call; each line that goes is what the client made of the answer. The test is the rest of the world.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const ecs = require('@alicloud/ecs20140526');
const sts = require('@alicloud/sts20150401');
const { RPCClient, ROAClient } = require('@alicloud/pop-core');
const { $OpenApiUtil } = require('@alicloud/openapi-core');
const { RuntimeOptions } = require('@alicloud/tea-util');

const quick = () => new RuntimeOptions({ autoretry: false, readTimeout: 5000, connectTimeout: 5000 });

/** An endpoint instead of the real one. There is no way but that: they do nothing with `httpProxy` and `httpsProxy`. */
const config = ({ endpoint, bearer, key }) =>
  new $OpenApiUtil.Config({
    endpoint, protocol: 'HTTP', regionId: 'cn-hangzhou',
    ...(bearer ? { bearerToken: bearer } : key),
  });

const calls = {
  async ecs(asked) {
    const client = new ecs.default(config(asked));
    if (asked.action === 'StopInstance') {
      const request = new ecs.StopInstanceRequest({ instanceId: asked.instance });
      return (await client.stopInstanceWithOptions(request, quick())).statusCode;
    }
    const instanceIds = asked.instance && JSON.stringify([asked.instance]);
    const request = new ecs.DescribeInstancesRequest({ regionId: 'cn-hangzhou', instanceIds });
    return (await client.describeInstancesWithOptions(request, quick())).statusCode;
  },
  async sts(asked) {
    return (await new sts.default(config(asked)).getCallerIdentityWithOptions(quick())).statusCode;
  },
  async pop(asked) {
    const client = new RPCClient({ endpoint: `http://${asked.endpoint}`, apiVersion: '2014-05-26', ...asked.key });
    const parameters = asked.instance ? { InstanceId: asked.instance } : {};
    await client.request(asked.action, parameters, { method: asked.method ?? 'GET', timeout: 30_000 });
    return 200;
  },
  async 'pop-roa'(asked) {
    const client = new ROAClient({ endpoint: `http://${asked.endpoint}`, apiVersion: '2015-12-15', ...asked.key });
    await client.request(asked.method ?? 'GET', asked.path, {}, asked.body ?? '', {}, { timeout: 30_000 });
    return 200;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let told;
  try {
    told = { status: await calls[asked.client](asked) };
  } catch (error) {
    const { code, name, message, data, description, accessDeniedDetail } = error;
    told = { error: { code, name, message, data, description, accessDeniedDetail } };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
