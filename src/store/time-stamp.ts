import * as v from 'valibot';

/** A moment as the state files hold it: an ISO 8601 text there, a Date here. `JSON.stringify` writes it back. */
export const timeStamp = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => new Date(text)),
);
