import { describe, expect, it } from 'vitest';
import { captureAdvice } from '../../src/capture/capture-advice.ts';

describe('advice about a capture that cannot start', () => {
  const MISSING = "Cannot find module 'cap'";

  it('tells someone in a pod to rebuild the image, not to run npm there', () => {
    expect(captureAdvice(MISSING, 'image')).toContain("rebuild the image from podfence's Dockerfile");
    expect(captureAdvice(MISSING, 'image')).not.toMatch(/npm (ci|install)/);
    expect(captureAdvice('libpcap.so.0.8: cannot open shared object file', 'image')).not.toContain('apt-get');
  });

  it('names the packages and the npm command for a checkout and for an installed package', () => {
    expect(captureAdvice(MISSING, 'checkout')).toMatch(/apt-get install libpcap-dev g\+\+ make python3, then npm ci$/);
    expect(captureAdvice(MISSING, 'package')).toMatch(/then npm install podfence again$/);
  });

  it('does not blame the package if a right or a group is missing', () => {
    for (const message of ['socket: Operation not permitted', "Can't listen on group index"])
      expect(captureAdvice(message, 'checkout')).not.toContain('cap is missing');
  });
});
