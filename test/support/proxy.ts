/** A TCP proxy in front of a real server that injects network faults. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { atEnd, type Scope } from './scope.ts';

export type Fault =
  /** Resets new and open connections, as if no server listened. */
  | { readonly kind: 'refuse' }
  /** Accepts connections and passes nothing; open ones stall as well. */
  | { readonly kind: 'hang' }
  /** Bytes per second, in each direction, and the time in milliseconds that each piece takes (50). */
  | { readonly kind: 'slow'; readonly rate: number; readonly delay?: number }
  /**
   * Resets a connection after this number of bytes to the server (`up`) or to the client (`down`). With `times`, only
   * that number of connections is reset.
   */
  | { readonly kind: 'cut'; readonly direction: 'up' | 'down'; readonly after: number; times?: number }
  /** Changes the byte after this number of bytes to the server, in `times` connections. */
  | { readonly kind: 'corrupt'; readonly after: number; times: number }
  /** Answers with an error page of a middlebox, `times` times. */
  | { readonly kind: 'answer'; readonly status: number; times: number };

export interface Proxy {
  readonly port: number;
  /** Connections so far. */
  readonly connections: number;
  /** Connections that were reset by `refuse` or `cut`. */
  readonly resets: number;
  /** Bytes that clients have received. */
  readonly received: number;
  /** Sets the fault of further traffic; by default all bytes pass. */
  setFault(fault?: Fault): void;
}

/** Starts a proxy on a free port; it ends with the scope. */
export async function startProxy(scope: Scope, target: { readonly port: number }): Promise<Proxy> {
  const state = { fault: undefined as Fault | undefined, changed: Promise.withResolvers<void>() };
  let connections = 0;
  let resets = 0;
  let received = 0;
  const open = new Set<Socket>();

  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections++;
    const upstream = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true });
    const gone = new AbortController();
    const reset = () => {
      resets++;
      client.resetAndDestroy();
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => client.resetAndDestroy());
      socket.on('close', () => {
        open.delete(socket);
        gone.abort();
        client.destroy();
        upstream.destroy();
      });
    }
    const { fault } = state;
    if (fault?.kind === 'refuse') reset();
    else if (fault?.kind === 'answer' && fault.times-- > 0) {
      client.end(`HTTP/1.1 ${fault.status} Not Now\r\nConnection: close\r\n\r\n<html>not now</html>`);
      client.resume();
    } else {
      relay(client, upstream, 'up', reset, gone.signal);
      relay(upstream, client, 'down', reset, gone.signal);
    }
  });

  function relay(
    from: Socket,
    to: Socket,
    direction: 'up' | 'down',
    reset: () => void,
    gone: AbortSignal,
  ): void {
    let passed = 0;
    const pass = async () => {
      for await (const piece of from) {
        for (let rest = piece as Buffer; rest.length > 0;) {
          while (state.fault?.kind === 'hang') await state.changed.promise;
          const { fault } = state;
          let size = rest.length;
          if (fault?.kind === 'slow') {
            const time = fault.delay ?? 50;
            size = Math.min(size, Math.ceil((fault.rate * time) / 1000));
            await Promise.race([delay(time), state.changed.promise]);
          }
          const at = fault?.kind === 'corrupt' && direction === 'up' ? fault.after - passed : -1;
          if (fault?.kind === 'corrupt' && at >= 0 && at < size && fault.times-- > 0) rest[at]! ^= 1;
          const cut = fault?.kind === 'cut' && fault.direction === direction ? fault : undefined;
          const isCut = cut && passed + size > cut.after && cut.times !== 0;
          // bytes before the cut still go out
          if (isCut) size = Math.max(0, cut.after - passed);
          if (!to.write(rest.subarray(0, size))) await once(to, 'drain', { signal: gone });
          passed += size;
          if (direction === 'down') received += size;
          rest = rest.subarray(size);
          if (!isCut) continue;
          if (cut.times !== undefined) cut.times--;
          reset();
          return;
        }
      }
      to.end();
    };
    pass().catch(() => to.destroy());
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(scope, async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of open) socket.destroy();
    state.fault = undefined;
    state.changed.resolve();
    await closed;
  });
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    get resets() {
      return resets;
    },
    get received() {
      return received;
    },
    setFault(next) {
      state.fault = next && { ...next };
      state.changed.resolve();
      state.changed = Promise.withResolvers();
      if (next?.kind !== 'refuse') return;
      for (const socket of open) socket.resetAndDestroy();
    },
  };
}
