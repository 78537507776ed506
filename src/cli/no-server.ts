/** What is said where a command is about a server and none is running. */
import { errorOf, type LocalstreamError } from '../errors.ts';

/** No server is running in this home. */
export function noServer(): LocalstreamError {
  return errorOf('NO_SERVER', 'no server is running in this home', {
    hint: 'serve --daemon starts one; what a shell has opened is seen in that shell',
  });
}
