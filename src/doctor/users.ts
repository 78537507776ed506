/** Whether the users can be asked: the file, or the database of `auth.url` and its tables. */
import { existsSync } from 'node:fs';
import { openUserStore } from '../auth/open-store.ts';
import { type Finding, fixOf, reasonOf, type Surroundings } from './finding.ts';

export async function users({ home, settings, isValid }: Surroundings): Promise<readonly Finding[]> {
  if (!isValid && settings.auth.url === null) {
    return [{ id: 'users', grade: 'unknown', text: 'not looked at: the settings are wrong' }];
  }
  if (settings.auth.url === null && !existsSync(home.usersFile)) {
    return [{ id: 'users', grade: 'ok', text: 'there are none yet; localstream user add NAME makes one' }];
  }
  try {
    await using store = await openUserStore(home.usersFile, settings.auth);
    const missing = await store.migration();
    if (missing.length > 0) {
      return [
        {
          id: 'users',
          grade: 'problem',
          text: `${store.place}: the tables are not as they have to be`,
          fix: 'localstream auth migrate',
        },
      ];
    }
    // A question to the table itself: a right to read it may be missing.
    await store.sampleHash();
    return [{ id: 'users', grade: 'ok', text: `${store.place}: answers, and its tables are complete` }];
  } catch (error) {
    const place = settings.auth.url === null ? home.usersFile : 'the database of auth.url';
    return [
      {
        id: 'users',
        grade: 'problem',
        text: `${place}: ${reasonOf(error)}: nobody can log in`,
        ...fixOf(error),
      },
    ];
  }
}
