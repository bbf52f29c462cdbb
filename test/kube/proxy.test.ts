import { expect, it } from 'vitest';
import { proxyFor } from '../../src/kube/proxy.ts';

const PROXY = 'http://proxy:3128';
const HTTPS = { HTTPS_PROXY: PROXY };

it.each([
  ['https://api.example', {}, undefined],
  ['https://api.example', HTTPS, PROXY],
  ['https://api.example', { https_proxy: 'http://lower:1', ...HTTPS }, 'http://lower:1'],
  ['https://api.example', { HTTPS_PROXY: 'proxy:3128' }, PROXY],
  ['https://api.example', { HTTP_PROXY: PROXY }, undefined],
  ['http://api.example', { HTTP_PROXY: PROXY }, PROXY],
  ['https://localhost:6443', HTTPS, undefined],
  ['https://127.0.0.1:6443', HTTPS, undefined],
  ['https://[::1]:6443', HTTPS, undefined],
  ['https://api.example', { ...HTTPS, NO_PROXY: '*' }, undefined],
  ['https://api.example', { ...HTTPS, NO_PROXY: 'example' }, undefined],
  ['https://api.example', { ...HTTPS, NO_PROXY: 'other, API.example' }, undefined],
  ['https://api.example', { ...HTTPS, NO_PROXY: '.example' }, undefined],
  ['https://api.example', { ...HTTPS, NO_PROXY: '*.example' }, undefined],
  ['https://api.example', { ...HTTPS, NO_PROXY: '.api.example' }, PROXY],
  ['https://api.example', { ...HTTPS, NO_PROXY: 'pi.example' }, PROXY],
  ['https://api.example', { ...HTTPS, NO_PROXY: 'api.example:443' }, undefined],
  ['https://api.example:6443', { ...HTTPS, NO_PROXY: 'api.example:443' }, PROXY],
  ['https://10.96.0.1', { ...HTTPS, NO_PROXY: '10.96.0.1' }, undefined],
  ['https://10.96.0.1', { ...HTTPS, NO_PROXY: '10.0.0.0/8' }, undefined],
  ['https://11.96.0.1', { ...HTTPS, NO_PROXY: '10.0.0.0/8' }, PROXY],
  ['https://10.96.0.1', { ...HTTPS, NO_PROXY: '10.0.0.0/99,fd00::/8,/,10.0.0.0/x' }, PROXY],
  ['https://[fd00::1]', { ...HTTPS, NO_PROXY: 'fd00::/8' }, undefined],
  ['https://[fd00::1]:6443', { ...HTTPS, no_proxy: '[fd00::1]:6443' }, undefined],
])('%s with %j goes through %s', (server, environment, expected) => {
  expect(proxyFor(new URL(server), environment)).toBe(expected);
});
