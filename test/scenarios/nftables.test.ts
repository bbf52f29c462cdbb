/**
 * Steering by nftables, if the kernel's nftables has a queue. The other scenarios use the steering
 * that `auto` chooses.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { chooseSteering } from '../../src/dataplane/steering/probe.ts';
import { system } from '../../src/dataplane/steering/run.ts';
import { Netns } from '../../src/sys/netns.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from './connections.ts';
import { expectReachability } from './reachability.ts';
import { pod, World } from './world.ts';

/**
 * Returns why this kernel cannot do it; undefined if it can, or if that cannot be tried without
 * root.
 */
async function refusal(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  using netns = Netns.create();
  try {
    await chooseSteering('nftables', { system: system(netns) });
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

const why = await refusal();

const POLICY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: client } } }]
`;

describeAsRoot('Steering by nftables', () => {
  describe.skipIf(why !== undefined)(why === undefined ? 'on this kernel' : `on this kernel: ${why}, skipped`, () => {
    describe.each([
      { name: 'with offload', offload: true },
      { name: 'with --no-offload', offload: false },
    ])('$name', ({ offload }) => {
      let world: World;
      beforeAll(async () => {
        const objects = [
          pod('web', { app: 'web' }, ['80', '53/UDP', '80/SCTP']),
          pod('client', { app: 'client' }, ['80']),
          pod('guest', { app: 'guest' }, ['80']),
        ];
        world = await World.start(objects, {
          load: { families: ['IPv4', 'IPv6'] },
          agents: { offload, steering: 'nftables' },
        });
      });
      afterAll(async () => {
        await world[Symbol.asyncDispose]();
      });

      test('the policies hold for both families', async () => {
        await world.policies(POLICY);
        await expectReachability(
          world.lab,
          `
                    web:80  web:53/UDP  web:80/SCTP  client:80
            client  .       .           .            -
            guest   x       x           x            .
            web     -       -           -            .
          `,
        );
      });

      test('a change cuts open connections and disturbs no others', async () => {
        await world.policies('');
        using concerned = new Connections(world.lab, 'guest', 'web', 7001);
        using allowed = new Connections(world.lab, 'client', 'web', 7003);
        await concerned.flow();
        await allowed.flow();
        await world.policies(POLICY);
        await expectCut(concerned);
        await allowed.expectNothingLost();
        await world.policies('');
        await concerned.flow();
      });
    });
  });
});
