/** Network interfaces by name, in the network namespace of the calling thread (netdevice(7)). */
import { AF_INET, SOCK_DGRAM, socket } from '../sys/libc.ts';
import { libcFunction } from '../sys/native.ts';

const SIOCGIFMTU = 0x8921;
const IFNAMSIZ = 16;
/** `struct ifreq`: name, then a union. */
const IFREQ = 40;

const c_if_nametoindex = libcFunction('unsigned int if_nametoindex(const char *name)');
const c_ioctl = libcFunction('int ioctl(int fd, unsigned long request, void *argument)');

/** An interface that may vanish and come back. */
export class Interface {
  readonly name: string;
  /** 0 while no interface has the name. */
  index = 0;
  mtu = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Looks the name up again. Returns whether it now means another interface. */
  refresh(): boolean {
    const before = this.index;
    this.index = c_if_nametoindex(this.name);
    if (this.index > 0) this.mtu = mtuOf(this.name);
    return this.index !== before;
  }
}

let asked: number | undefined;

function mtuOf(name: string): number {
  asked ??= socket(AF_INET, SOCK_DGRAM, 0);
  const request = new Uint8Array(IFREQ);
  request.set(Buffer.from(name).subarray(0, IFNAMSIZ - 1));
  if (c_ioctl(asked, SIOCGIFMTU, request) < 0) return 0;
  return new DataView(request.buffer).getInt32(IFNAMSIZ, true);
}
