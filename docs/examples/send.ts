/**
 * Offers one file or folder to several machines at once, and waits until each has answered.
 *
 *     node docs/examples/send.ts PATH HOST PORT SHA256:… [HOST PORT SHA256:…]…
 *
 * A machine that listens asks its operator, or accepts by a rule what trusted keys offer: `localstream serve --offers trusted`.
 */
import {
  type Localstream,
  LocalstreamError,
  openLocalstream,
  parseFingerprint,
  type Receipt,
} from 'localstream';

const [path = '.', ...words] = process.argv.slice(2);
const stop = new AbortController();
process.on('SIGINT', () => stop.abort());

interface Place {
  readonly host: string;
  readonly port: number;
  /** A file must not go to whoever happens to answer: the key says who is meant. */
  readonly key: string;
}

async function send(localstream: Localstream, { host, port, key }: Place, group: number): Promise<Receipt> {
  const fingerprint = parseFingerprint(key);
  await using session = await localstream.connect({ host, port, fingerprint, signal: stop.signal });
  return await session.send([path], {
    group,
    signal: stop.signal,
    onProgress: ({ bytes, bytesTotal }) => console.error(`${host}:${port}: ${bytes} of ${bytesTotal}`),
  });
}

const places: Place[] = [];
for (let index = 0; index + 2 < words.length; index += 3) {
  const [host = '', port = '', key = ''] = words.slice(index);
  places.push({ host, port: Number(port), key });
}
await using localstream = await openLocalstream();
// One group: the file is read and hashed once for those who are near each other.
const group = localstream.newGroup();
const results = await Promise.allSettled(places.map((place) => send(localstream, place, group)));
for (const [index, result] of results.entries()) {
  const { host, port } = places[index] ?? { host: '', port: 0 };
  if (result.status === 'fulfilled') {
    const { files, bytes, signedBy } = result.value;
    console.log(`${host}:${port}: ${files} files, ${bytes} bytes, signed by ${signedBy}`);
    continue;
  }
  const error: unknown = result.reason;
  if (!(error instanceof LocalstreamError)) throw error;
  console.log(`${host}:${port} refused: ${error.code}: ${error.message}`);
  process.exitCode = 5;
}
