/** The least that a proxy in Node can do: bytes go through as they come. `node --import tsx bench/pipe.ts PORT`. */
import { connect, createServer } from 'node:net';

const port = Number(process.argv[2]);
const server = createServer({ noDelay: true }, client => {
  const upstream = connect({ host: '127.0.0.1', port, noDelay: true });
  client.on('data', chunk => void upstream.write(chunk));
  upstream.on('data', chunk => void client.write(chunk));
  for (const [socket, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    socket.on('error', () => other.destroy());
    socket.on('close', () => other.destroy());
  }
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`ready ${address.port}\n`);
});
